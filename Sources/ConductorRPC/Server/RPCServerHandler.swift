// SPDX-License-Identifier: Apache-2.0

package import EventLoopScheduling
import HostNames
package import Logging
package import NIOCore
import NIOExtras
import NIOTLS
import Notifications
import TLSChannel

/// The server's end of one connection: cuts lines, hands requests to an ``RPCRequestHandler``, writes the answers in
/// batches.
package final class RPCServerHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = Never
    package typealias OutboundOut = ByteBuffer

    /// The limits of one connection.
    package struct Configuration: Sendable {
        /// The longest line, in bytes without its end.
        package var maximumLineLength = RPCProtocol.defaultMaximumLineLength
        /// The maximum number of requests in flight; at that number the connection is not read.
        package var window = 1000
        /// The number of bytes of requests in flight at which a connection is not read. While the broker stalls, this
        /// bounds what one guest can make the conductor hold (times what JSON takes in memory), rather than a window
        /// full of the longest lines.
        package var windowBytes = 4 << 20
        /// The time that a connection may be idle: nothing arrives, and nothing is in flight.
        package var idleTimeout = TimeAmount.hours(1)
        /// The time that a line may take from its first byte to its end.
        package var lineTimeout = TimeAmount.seconds(60)
        /// The time that a connection may take to answer the requests it has accepted, once the server stops.
        package var drainTimeout = TimeAmount.seconds(20)
        /// The number of bits of an IPv6 address that identify its network.
        package var ipv6PrefixLength = NetworkAddress.defaultIPv6PrefixLength

        /// The defaults.
        package init() {}
    }

    /// The number of buffered bytes up to which input is processed as it arrives, without a turn. A longer line counts
    /// as long.
    private static let bytesAtOnce = 16 << 10
    /// The time that a connection that is closed for others' sake may take to answer the requests it has accepted.
    private static let evictionTimeout = TimeAmount.seconds(5)
    /// The amount of one connection's input that is processed before other connections of its event loop have their
    /// turn.
    private static let turn = (lines: 16, bytes: 64 << 10, time: ConnectionScheduler.pause)

    let configuration: Configuration
    private let requestHandler: any RPCRequestHandler
    private let admission: (any RPCAdmission)?
    private let turns: ConnectionScheduler
    private let background: (any BackgroundExecutor)?
    private let requestFlush: RequestFlushScheduler
    private let bufferedInput: BufferedInputLimiter?
    /// The number of bytes that ``bufferedInput`` has recorded for this connection.
    private var reportedBytes = 0
    private var longLineBytes = 0
    private var records = RecordChargeStateMachine()
    private var tls: TLSHandler?
    private var longLine: PendingWork?
    let logger: Logger
    private var splitter: LineSplitter
    var state: ServerConnectionStateMachine
    private(set) var peer = RPCPeer(certificate: nil, remoteAddress: "unknown", localAddress: "unknown")
    private var rateLimiter: (any RPCPeerRateLimiter)?
    private var outbox: AnswerOutbox?
    private var drainDeadline: Scheduled<Void>?
    private var holdEnd: Scheduled<Void>?
    /// The deadlines; nil before the peer has proved its identity.
    var deadlines: ConnectionDeadlineStateMachine?
    var nextCheck: (task: Scheduled<Void>, time: NIODeadline)?
    /// Guards against a resume inside a resume, when an answer arrives while lines are being processed.
    private var isProcessingRequests = false

    /// - Parameters:
    ///   - configuration: limits.
    ///   - requestHandler: carries the requests out.
    ///   - admission: decides whether a peer's connection is served, and what it may use; nil to serve all.
    ///   - turns: the scheduler of all of the server's connections.
    ///   - requestFlush: the scheduler of flushes for all of the server's connections.
    ///   - bufferedInput: the limiter of the input of all of the server's connections; nil to bound each connection's
    ///     input only.
    ///   - background: where requests of long lines are read and prepared; nil to do so on the event loop.
    ///   - logger: logs what a connection does wrong; at most one line for each connection above debug.
    package init(
        configuration: Configuration, requestHandler: any RPCRequestHandler, admission: (any RPCAdmission)? = nil,
        turns: ConnectionScheduler = ConnectionScheduler(),
        requestFlush: RequestFlushScheduler = RequestFlushScheduler(),
        bufferedInput: BufferedInputLimiter? = nil, background: (any BackgroundExecutor)? = nil, logger: Logger
    ) {
        self.configuration = configuration
        self.requestHandler = requestHandler
        self.admission = admission
        self.turns = turns
        self.background = background
        self.requestFlush = requestFlush
        self.bufferedInput = bufferedInput
        self.logger = logger
        self.splitter = LineSplitter(maximumLength: configuration.maximumLineLength)
        self.state = ServerConnectionStateMachine(
            window: configuration.window, windowBytes: configuration.windowBytes)
    }

    /// The number of bytes that were read and not yet processed as requests.
    var bufferedBytes: Int { self.splitter.bufferedBytes }

    // MARK: Coming and going

    package func handlerAdded(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        self.outbox = AnswerOutbox(eventLoop: context.eventLoop) {
            let (handler, context) = bound.value
            handler.writeAnswers(context: context)
        }
        // The channel caches the addresses; its context would ask the kernel again.
        self.peer.remoteAddress = context.channel.remoteAddress?.hostAndPort ?? "unknown"
        self.peer.localAddress = context.channel.localAddress?.hostAndPort ?? "unknown"
        self.peer.network = context.channel.remoteAddress.flatMap {
            NetworkAddress($0, ipv6PrefixLength: self.configuration.ipv6PrefixLength)
        }
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.end(context: context) }

    package func channelInactive(context: ChannelHandlerContext) {
        self.end(context: context)
        context.fireChannelInactive()
    }

    private func end(context: ChannelHandlerContext) {
        self.state.closed()
        self.outbox?.close()
        self.outbox = nil
        self.longLine?.abandon()
        self.longLine = nil
        self.longLineBytes = 0
        for task in [self.drainDeadline, self.holdEnd, self.nextCheck?.task] { task?.cancel() }
        (self.drainDeadline, self.holdEnd, self.nextCheck) = (nil, nil, nil)
        self.tls = nil
        self.dropInput(context: context)
        self.rateLimiter?.connectionEnded(now: context.eventLoop.now)
        self.rateLimiter = nil
    }

    /// Drops the input that was read and will not be processed.
    private func dropInput(context: ChannelHandlerContext) {
        self.splitter = LineSplitter(maximumLength: self.configuration.maximumLineLength)
        self.reportInput(context: context)
    }

    /// Reports the number of bytes that the connection holds, if it has changed.
    private func reportInput(context: ChannelHandlerContext) {
        let bytes = self.splitter.bufferedBytes + self.longLineBytes
        guard let bufferedInput = self.bufferedInput, bytes != self.reportedBytes else { return }
        self.reportedBytes = bytes
        bufferedInput.changed(ObjectIdentifier(self), to: bytes, on: context.eventLoop) {
            let (eventLoop, bound) = (
                context.eventLoop,
                NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
            )
            return {
                eventLoop.execute {
                    let (handler, context) = bound.value
                    handler.displace(.bufferedInput, context: context)
                }
            }
        }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSUserEvent.handshakeCompleted:
            let tls = try? context.pipeline.syncOperations.handler(type: TLSHandler.self)
            if let certificate = tls?.peerCertificate { self.peer.setCertificate(certificate, to: self.requestHandler) }
            self.tls = tls
            self.admit(context: context)
        case is ChannelShouldQuiesceEvent: self.drain(context: context)
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func admit(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        let admission = self.admission?.admit(self.peer, on: context.eventLoop) {
            [eventLoop = context.eventLoop] error in
            eventLoop.execute {
                let (handler, context) = bound.value
                handler.displace(error, context: context)
            }
        }
        switch admission {
        case .success(let rateLimiter)?:
            self.rateLimiter = rateLimiter
            self.peer.use(rateLimiter)
        case .failure(let error)?:
            self.leave(error, context: context)
            return
        case nil: break
        }
        self.startDeadlines(context: context)
    }

    /// Answers this error under a null id, accepts no more requests, and closes once all accepted ones are answered.
    func leave(_ error: RPCError, context: ChannelHandlerContext, within timeout: TimeAmount? = nil) {
        var writer = JSONWriter(capacity: 256)
        RPCResponse(id: .null, result: .failure(error)).write(to: &writer)
        context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(bytes: writer.bytes)), promise: nil)
        self.drain(context: context, within: timeout)
    }

    /// Closes the connection so that others are served: soon, whatever is in flight or unread.
    private func displace(_ error: RPCError, context: ChannelHandlerContext) {
        guard self.outbox != nil, self.state.keepsInput else { return }
        self.dropInput(context: context)
        self.leave(error, context: context, within: min(self.configuration.drainTimeout, Self.evictionTimeout))
    }

    private func drain(context: ChannelHandlerContext, within timeout: TimeAmount? = nil) {
        self.perform(self.state.drain(), context: context)
        guard self.state.inFlight > 0, self.drainDeadline == nil else { return }
        self.drainDeadline = context.eventLoop.assumeIsolated().scheduleTask(
            in: timeout ?? self.configuration.drainTimeout
        ) {
            self.logger.warning(
                "Closed connection with unanswered requests: drain timeout exceeded",
                metadata: ["peer": "\(self.peer.remoteAddress)", "unanswered": "\(self.state.inFlight)"])
            context.close(promise: nil)
        }
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.logger.debug(
            "Connection failed", metadata: ["peer": "\(self.peer.remoteAddress)", "error": "\(error)"])
        context.close(promise: nil)
    }

    // MARK: Requests

    package func read(context: ChannelHandlerContext) {
        if self.state.readRequested() { context.read() }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // While TLS waits for the peer's close_notify, it keeps reading. Input that a peer floods us with during that
        // time must not accumulate.
        guard self.state.keepsInput else { return }
        let bytes = Self.unwrapInboundIn(data)
        let now = context.eventLoop.now
        self.deadlines?.recordActivity(now: now)
        self.rateLimiter?.chargeReceived(bytes: bytes.readableBytes, now: now)
        let endedLines = self.splitter.endedLines
        self.splitter.append(bytes)
        self.processRequests(context: context)
        let tokens = self.records.read(
            upTo: self.tls?.recordsRead ?? 0, bytes: bytes.readableBytes, lines: self.splitter.endedLines - endedLines)
        for _ in 0..<tokens where self.state.keepsInput { self.charge(now: now, context: context) }
    }

    /// Charges input that is no request: a request's token, or a rejection's token when there is none. When there is
    /// neither, the connection is closed: the peer waits for no answer, and with a low rate limit the rest of its
    /// input would be processed for a long time.
    private func charge(now: NIODeadline, context: ChannelHandlerContext) {
        guard let rateLimiter = self.rateLimiter, let wait = rateLimiter.chargeRequest(now: now),
            rateLimiter.hasExhaustedRejections(now: now)
        else {
            return
        }
        self.dropInput(context: context)
        self.leave(.tooMuchEmptyInput(retryAfter: wait), context: context)
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.perform(self.state.writabilityChanged(context.channel.isWritable), context: context)
        context.fireChannelWritabilityChanged()
    }

    private func processRequests(context: ChannelHandlerContext, isTurn: Bool = false) {
        guard !self.isProcessingRequests, let outbox = self.outbox else { return }
        self.isProcessingRequests = true
        defer {
            self.isProcessingRequests = false
            self.reportInput(context: context)
        }
        let endedLines = self.splitter.endedLines
        let bufferedBytes = self.splitter.bufferedBytes
        let turnEnd = context.eventLoop.now + Self.turn.time
        // A single long line waits for its turn too. When it arrives in pieces, not even its end is searched for before
        // the turn.
        let isTurn =
            isTurn || bufferedBytes <= Self.bytesAtOnce
            || self.state.acceptsRequests && self.turns.takeNow(on: context.eventLoop)
        var waits = false
        while self.state.acceptsRequests {
            let now = context.eventLoop.now
            if let pause = self.rateLimiter?.pause(now: now) {
                self.pauseForRateLimit(for: pause, context: context)
                break
            }
            let taken = self.splitter.endedLines - endedLines
            let isTurnOver =
                !isTurn || taken >= Self.turn.lines || taken > 0 && now >= turnEnd
                || bufferedBytes - self.splitter.bufferedBytes >= Self.turn.bytes
            if isTurnOver, self.splitter.bufferedBytes > 0 {
                self.waitForTurn(context: context)
                waits = true
                break
            }
            guard let frame = self.splitter.next() else { break }
            switch frame {
            case .line(let line):
                // An empty line, which a person at a terminal may send, gets no answer, but it is charged. No long line
                // counts as empty.
                if line.readableBytes > Self.bytesAtOnce || !line.readableBytesView.allSatisfy(\.isWhitespace) {
                    self.take(line, outbox, now: now, context: context)
                } else {
                    self.charge(now: now, context: context)
                }
            case .tooLong:
                self.state.accepted()
                // It is charged as a request, but is answered `too_large` even if the rate limit is exceeded.
                _ = self.rateLimiter?.chargeRequest(now: now)
                let limit = self.configuration.maximumLineLength
                self.requestHandler.recordRejection(.tooLarge, from: self.peer)
                let error = RPCError(
                    .tooLarge, "The line is longer than \(limit) bytes; it was skipped.", limitBytes: limit)
                outbox.append(.init(id: .null, result: .failure(error)))
            }
        }
        guard self.state.keepsInput else { return }
        // Nothing was scanned: the deadline of a line that has begun does not change, however often the line waits for
        // a turn.
        if waits, self.splitter.endedLines == endedLines { return }
        // Input that is left unread may consist of whole lines, so no line counts as begun.
        self.recordScan(
            isInLine: self.state.acceptsRequests && self.splitter.isInLine,
            hasEnded: self.splitter.endedLines != endedLines, context: context)
    }

    private func take(
        _ line: ByteBuffer, _ outbox: AnswerOutbox, now: NIODeadline, context: ChannelHandlerContext
    ) {
        let bytes = line.readableBytes
        self.state.accepted(bytes: bytes)
        let job = RequestJob(
            handler: self.requestHandler, peer: self.peer, outbox: outbox, logger: self.logger,
            wait: self.rateLimiter?.chargeRequest(now: now))
        guard let background = self.background, bytes > Self.bytesAtOnce else {
            self.requestFlush.schedule(self.requestHandler, on: context.eventLoop)
            job.carryOut(line)
            return
        }
        // One long line at a time, and nothing else of the connection meanwhile: that bounds a connection's background
        // work.
        self.state.hold(.longLine)
        self.longLineBytes = bytes
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        self.longLine = background.perform(on: context.eventLoop) {
            job.prepare(line)
        } then: { request in
            let (handler, context) = bound.value
            // Also when the connection has ended meanwhile, as for every request that was begun.
            handler.requestFlush.schedule(handler.requestHandler, on: context.eventLoop)
            job.carryOut(request)
            handler.longLine = nil
            handler.longLineBytes = 0
            handler.reportInput(context: context)
            guard handler.outbox != nil else { return }
            handler.perform(handler.state.release(.longLine), context: context)
        }
    }

    private func pauseForRateLimit(for time: TimeAmount, context: ChannelHandlerContext) {
        self.state.hold(.rateLimiter)
        self.holdEnd = context.eventLoop.assumeIsolated().scheduleTask(in: time) {
            self.perform(self.state.release(.rateLimiter), context: context)
        }
    }

    private func waitForTurn(context: ChannelHandlerContext) {
        self.state.hold(.turn)
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        self.turns.wait(on: context.eventLoop) {
            let (handler, context) = bound.value
            guard handler.outbox != nil else { return false }
            handler.perform(handler.state.release(.turn), context: context, isTurn: true)
            return true
        }
    }

    // MARK: Answers

    private func writeAnswers(context: ChannelHandlerContext) {
        guard let answers = self.outbox?.take(), !answers.isEmpty else { return }
        var writer = JSONWriter(capacity: answers.count * 160)
        for answer in answers {
            guard let id = answer.id else { continue }
            RPCResponse(id: id, result: answer.result).write(to: &writer)
        }
        if !writer.bytes.isEmpty {
            context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(bytes: writer.bytes)), promise: nil)
        }
        self.deadlines?.recordActivity(now: context.eventLoop.now)
        self.perform(
            self.state.answered(
                answers.count, bytes: answers.reduce(0) { $0 + $1.requestBytes }), context: context)
    }

    private func perform(
        _ action: ServerConnectionStateMachine.Action, context: ChannelHandlerContext, isTurn: Bool = false
    ) {
        switch action {
        case .none: break
        case .resume:
            self.processRequests(context: context, isTurn: isTurn)
            if self.state.takeHeldRead() { context.read() }
        case .close: context.close(promise: nil)
        }
    }
}

/// Bound to its connection's event loop.
@available(*, unavailable)
extension RPCServerHandler: Sendable {}

extension UInt8 {
    fileprivate var isWhitespace: Bool { self == 0x20 || self == 0x09 || self == 0x0D }
}

extension SocketAddress {
    /// `ip:port`, an IPv6 address in brackets.
    package var hostAndPort: String? {
        guard var ipAddress, let port else { return nil }
        // ::ffff:192.0.2.1 is how a listener for IPv6 and IPv4 sees 192.0.2.1.
        if ipAddress.hasPrefix("::ffff:"), ipAddress.contains(".") { ipAddress = String(ipAddress.dropFirst(7)) }
        return HostPort(host: ipAddress, port: port).description
    }
}
