// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOTLS
import Notifications

/// The client's end of one connection: writes calls in batches, and ties answers to them.
final class RPCClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let outbox: CallOutbox
    private let timeout: TimeAmount
    private let keepAlive: TimeAmount
    private var lastCall = NIODeadline.distantPast
    private var state: ClientConnectionStateMachine<RPCCompletion>
    private var splitter: LineSplitter
    private var handshake: EventLoopPromise<@Sendable () -> Void>?
    private var overdueCheck: RepeatedTask?
    private var failure: String?
    /// The conductor's last error that concerns no call in particular.
    private var notice: String?
    /// The pause that the conductor asked for.
    private var asked = Duration.zero

    /// - Parameters:
    ///   - outbox: the source of calls.
    ///   - configuration: limits and deadlines.
    ///   - handshake: a promise that succeeds when TLS is established, with the function to run on the event loop when
    ///     calls wait in the outbox. It fails when the connection ends before.
    init(
        outbox: CallOutbox, configuration: ConductorConnection.Configuration,
        handshake: EventLoopPromise<@Sendable () -> Void>
    ) {
        self.outbox = outbox
        self.timeout = configuration.answerTimeout
        self.keepAlive = configuration.keepAlive
        self.state = ClientConnectionStateMachine(timeout: configuration.answerTimeout)
        self.splitter = LineSplitter(maximumLength: configuration.maximumLineLength)
        self.handshake = handshake
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted(let negotiated) = event {
            if negotiated == RPCProtocol.applicationProtocol {
                let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
                self.takeHandshake()?.succeed { bound.value.handler.sendCalls(context: bound.value.context) }
                self.startOverdueCheck(context: context)
            } else {
                self.failure = "the peer does not support the protocol \(RPCProtocol.applicationProtocol)"
                context.close(promise: nil)
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// Starts the periodic check for overdue answers. Without it a conductor that no longer answers and does not close
    /// the connection (a black hole) would hold an outcome without limit.
    private func startOverdueCheck(context: ChannelHandlerContext) {
        self.lastCall = context.eventLoop.now
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        let interval = TimeAmount.nanoseconds(
            max(min(self.timeout.nanoseconds, self.keepAlive.nanoseconds) / 4, 1_000_000))
        self.overdueCheck = context.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            let (handler, context) = bound.value
            let now = context.eventLoop.now
            guard let wait = handler.state.exceededBound(now: now) else {
                handler.pingIfIdle(now: now, context: context)
                return
            }
            handler.failure = "no answer came within \(wait.nanoseconds / 1_000_000) ms"
            // TLS waits for a close_notify up to its shutdown timeout, even from a silent peer. Only then are the calls
            // lost.
            context.close(promise: nil)
        }
    }

    private func pingIfIdle(now: NIODeadline, context: ChannelHandlerContext) {
        guard now - self.lastCall >= self.keepAlive, let id = self.outbox.nextID() else { return }
        let line = RPCRequest(id: .number(.init(id)), call: .ping).line
        // The answer itself is not used; the lack of one ends the connection.
        _ = self.outbox.append(.init(id: id, line: line, completion: { _ in }))
        self.sendCalls(context: context)
    }

    private func sendCalls(context: ChannelHandlerContext) {
        let calls = self.outbox.take()
        guard !calls.isEmpty else { return }
        var buffer = context.channel.allocator.buffer(capacity: calls.reduce(0) { $0 + $1.line.count })
        let now = context.eventLoop.now
        self.lastCall = now
        for call in calls {
            // The line end does not count.
            let length = call.line.count - 1
            if self.state.sent(id: call.id, lineLength: length, completion: call.completion, now: now) {
                buffer.writeBytes(call.line)
            } else {
                call.completion(.failure(.connectionLost(self.outbox.closeReason)))
            }
        }
        if buffer.readableBytes > 0 { context.writeAndFlush(Self.wrapOutboundOut(buffer), promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.splitter.append(Self.unwrapInboundIn(data))
        while let frame = self.splitter.next() {
            guard case .line(let line) = frame else {
                self.fail("the conductor sent a line longer than this side accepts", context: context)
                return
            }
            do {
                self.take(try RPCResponse(line: line), now: context.eventLoop.now)
            } catch {
                self.fail("the conductor sent an invalid answer: \(error)", context: context)
                return
            }
        }
    }

    private func take(_ response: RPCResponse, now: NIODeadline) {
        switch self.state.answered(response.id, result: response.result, now: now) {
        case .complete(let completion): completion(response.result.mapError { .rejected($0) })
        case .fail(let completions):
            for completion in completions { completion(response.result.mapError { .rejected($0) }) }
        case .ignore:
            // An error about the whole connection, which the conductor sends before it closes the connection.
            if case (.null, .failure(let error)) = (response.id, response.result) {
                self.notice = "the conductor sent an error: \(error.description.excerpt)"
                self.asked = .milliseconds(max(0, error.retryAfterMilliseconds ?? 0))
            }
        }
    }

    private func fail(_ reason: String, context: ChannelHandlerContext) {
        self.failure = reason
        context.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.failure = self.failure ?? "\(error)"
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.end()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.end() }

    private func end() {
        let reason = self.failure ?? self.notice ?? "the conductor closed it"
        self.overdueCheck?.cancel()
        self.overdueCheck = nil
        let unsent = self.outbox.close(reason: reason, asked: self.asked)
        let unanswered = self.state.closed()
        self.takeHandshake()?.fail(RPCCallError.connectionLost(reason))
        for completion in unanswered + unsent.map(\.completion) { completion(.failure(.connectionLost(reason))) }
    }

    private func takeHandshake() -> EventLoopPromise<@Sendable () -> Void>? {
        defer { self.handshake = nil }
        return self.handshake
    }
}

/// Bound to its connection's event loop.
@available(*, unavailable)
extension RPCClientHandler: Sendable {}
