package import Logging
package import NIOCore
import NIOExtras
import NIOTLS
import Notifications
import TLSSocket

/// Serves one connection: cuts lines, hands requests to an ``RPCRequestHandler``, writes the answers in batches.
package final class RPCServerHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = Never
    package typealias OutboundOut = ByteBuffer

    /// How one connection is served.
    package struct Configuration: Sendable {
        /// The longest line, in bytes without its end.
        package var maximumLineLength = RPCProtocol.defaultMaximumLineLength
        /// How many requests of one connection may be in flight; past that it is not read.
        package var window = 1000
        /// Past how many bytes of requests in flight a connection is not read. While the broker stands still, this is
        /// what one guest can make the conductor hold (times what JSON takes in memory), not a window full of the
        /// longest lines.
        package var windowBytes = 4 << 20
        /// How long a connection may take to answer what it has taken once the server stops.
        package var drainTimeout = TimeAmount.seconds(20)

        /// The defaults.
        package init() {}
    }

    private let configuration: Configuration
    private let requestHandler: any RPCRequestHandler
    private let logger: Logger
    private var splitter: LineSplitter
    private var state: ServerConnectionStateMachine
    private var peer = RPCPeer(certificate: nil, remoteAddress: "unknown", localAddress: "unknown")
    private var outbox: AnswerOutbox?
    private var drainDeadline: Scheduled<Void>?
    /// Guards against a resume inside a resume, when an answer arrives while lines are being taken.
    private var isTakingRequests = false

    /// - Parameters:
    ///   - configuration: limits.
    ///   - requestHandler: carries the requests out.
    ///   - logger: told of what a connection does wrong; at most a line a connection above debug.
    package init(configuration: Configuration, requestHandler: any RPCRequestHandler, logger: Logger) {
        self.configuration = configuration
        self.requestHandler = requestHandler
        self.logger = logger
        self.splitter = LineSplitter(maximumLength: configuration.maximumLineLength)
        self.state = ServerConnectionStateMachine(
            window: configuration.window, windowBytes: configuration.windowBytes)
    }

    /// Bytes that were read and not yet taken as requests.
    var bufferedBytes: Int { self.splitter.bufferedBytes }

    // MARK: Coming and going

    package func handlerAdded(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        self.outbox = AnswerOutbox(eventLoop: context.eventLoop) {
            let (handler, context) = bound.value
            handler.writeAnswers(context: context)
        }
        self.peer.remoteAddress = context.remoteAddress?.hostAndPort ?? "unknown"
        self.peer.localAddress = context.localAddress?.hostAndPort ?? "unknown"
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.end() }

    package func channelInactive(context: ChannelHandlerContext) {
        self.end()
        context.fireChannelInactive()
    }

    private func end() {
        self.state.closed()
        self.outbox?.close()
        self.outbox = nil
        self.drainDeadline?.cancel()
        self.drainDeadline = nil
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSUserEvent.handshakeCompleted:
            let tls = try? context.pipeline.syncOperations.handler(type: TLSHandler.self)
            self.peer.certificate = tls?.peerCertificate
        case is ChannelShouldQuiesceEvent: self.drain(context: context)
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func drain(context: ChannelHandlerContext) {
        self.perform(self.state.drain(), context: context)
        guard self.state.inFlight > 0 else { return }
        self.drainDeadline = context.eventLoop.assumeIsolated().scheduleTask(in: self.configuration.drainTimeout) {
            self.logger.warning(
                "A connection was closed with requests unanswered: the drain timeout ran out",
                metadata: ["peer": "\(self.peer.remoteAddress)", "unanswered": "\(self.state.inFlight)"])
            context.close(promise: nil)
        }
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.logger.debug(
            "A connection failed", metadata: ["peer": "\(self.peer.remoteAddress)", "error": "\(error)"])
        context.close(promise: nil)
    }

    // MARK: Requests

    package func read(context: ChannelHandlerContext) {
        if self.state.readRequested() { context.read() }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // While TLS says good-bye it goes on reading: what a peer floods us with then must not pile up.
        guard self.state.keepsInput else { return }
        self.splitter.append(Self.unwrapInboundIn(data))
        self.takeRequests()
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.perform(self.state.writabilityChanged(context.channel.isWritable), context: context)
        context.fireChannelWritabilityChanged()
    }

    private func takeRequests() {
        guard !self.isTakingRequests, let outbox = self.outbox else { return }
        self.isTakingRequests = true
        defer { self.isTakingRequests = false }
        while self.state.takesRequests, let frame = self.splitter.next() {
            switch frame {
            case .line(let line):
                // An empty line is no request; a person at a terminal may send one.
                if !line.readableBytesView.allSatisfy(\.isWhitespace) { self.take(line, outbox) }
            case .tooLong:
                self.state.taken()
                let limit = self.configuration.maximumLineLength
                let error = RPCError(
                    .tooLarge, "The line is longer than \(limit) bytes; it was skipped.", limitBytes: limit)
                outbox.append(.init(id: .null, result: .failure(error)))
            }
        }
    }

    private func take(_ line: ByteBuffer, _ outbox: AnswerOutbox) {
        let bytes = line.readableBytes
        self.state.taken(bytes: bytes)
        do throws(RPCRequestError) {
            let request = try RPCRequest(line: line)
            // The id alone: while it is in flight a request must not keep its JSON, which is many times its line.
            self.requestHandler.handle(request.call, from: self.peer) { [id = request.id] result in
                outbox.append(.init(id: id, result: result, requestBytes: bytes))
            }
        } catch {
            self.logger.debug(
                "A request was refused",
                metadata: ["peer": "\(self.peer.remoteAddress)", "error": "\(error.error)"])
            outbox.append(.init(id: error.id, result: .failure(error.error), requestBytes: bytes))
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
        self.perform(
            self.state.answered(
                answers.count, bytes: answers.reduce(0) { $0 + $1.requestBytes }), context: context)
    }

    private func perform(_ action: ServerConnectionStateMachine.Action, context: ChannelHandlerContext) {
        switch action {
        case .none: break
        case .resume:
            self.takeRequests()
            if self.state.takeHeldRead() { context.read() }
        case .close: context.close(promise: nil)
        }
    }
}

/// Bound to its connection's event loop.
@available(*, unavailable)
extension RPCServerHandler: Sendable {}

extension UInt8 {
    fileprivate var isWhitespace: Bool { [0x20, 0x09, 0x0D].contains(self) }
}

extension SocketAddress {
    /// `ip:port`, an IPv6 address in brackets.
    package var hostAndPort: String? {
        guard let ipAddress, let port else { return nil }
        return ipAddress.contains(":") ? "[\(ipAddress)]:\(port)" : "\(ipAddress):\(port)"
    }
}
