package import EventLoopFairness
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
        /// How long nothing may come while nothing is in flight.
        package var idleTimeout = TimeAmount.hours(1)
        /// How long a line may take from its first byte to its end.
        package var lineTimeout = TimeAmount.seconds(60)
        /// How long a connection may take to answer what it has taken once the server stops.
        package var drainTimeout = TimeAmount.seconds(20)
        /// How many bits of an IPv6 address say which network it is of.
        package var ipv6PrefixLength = NetworkAddress.defaultIPv6PrefixLength

        /// The defaults.
        package init() {}
    }

    /// How many bytes may lie here to be taken as they come, without a turn.
    private static let bytesAtOnce = 16 << 10
    /// How long a connection that is closed for others' sake may take to answer what it has taken.
    private static let displacementTimeout = TimeAmount.seconds(5)
    /// How much of one connection is taken before others of its event loop have their turn.
    private static let turn = (lines: 16, bytes: 64 << 10, time: ConnectionTurns.pause)

    let configuration: Configuration
    private let requestHandler: any RPCRequestHandler
    private let admission: (any RPCAdmission)?
    private let turns: ConnectionTurns
    private let background: (any BackgroundWork)?
    private let requestFlush: RequestFlush
    private let bufferedInput: BufferedInput?
    /// The number of bytes that ``bufferedInput`` has from here.
    private var reportedBytes = 0
    private var longLineBytes = 0
    private var records = RecordCharge()
    private var tls: TLSHandler?
    private var longLine: PendingWork?
    let logger: Logger
    private var splitter: LineSplitter
    var state: ServerConnectionStateMachine
    private(set) var peer = RPCPeer(certificate: nil, remoteAddress: "unknown", localAddress: "unknown")
    private var share: (any RPCGuestShare)?
    private var outbox: AnswerOutbox?
    private var drainDeadline: Scheduled<Void>?
    private var holdEnd: Scheduled<Void>?
    /// Nil before the peer has proved who it is.
    var deadlines: ConnectionDeadlines?
    var nextLook: (task: Scheduled<Void>, time: NIODeadline)?
    /// Guards against a resume inside a resume, when an answer arrives while lines are being taken.
    private var isTakingRequests = false

    /// - Parameters:
    ///   - configuration: limits.
    ///   - requestHandler: carries the requests out.
    ///   - admission: says whether a peer's connection is served, and what it may take; nil to serve all.
    ///   - turns: the server's.
    ///   - requestFlush: the server's.
    ///   - bufferedInput: the server's; nil to bound each connection's input only.
    ///   - background: where requests of long lines are read and prepared; nil to do so on the event loop.
    ///   - logger: where it is logged what a connection does wrong; at most a line a connection above debug.
    package init(
        configuration: Configuration, requestHandler: any RPCRequestHandler, admission: (any RPCAdmission)? = nil,
        turns: ConnectionTurns = ConnectionTurns(), requestFlush: RequestFlush = RequestFlush(),
        bufferedInput: BufferedInput? = nil, background: (any BackgroundWork)? = nil, logger: Logger
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

    /// Bytes that were read and not yet taken as requests.
    var bufferedBytes: Int { self.splitter.bufferedBytes }

    // MARK: Coming and going

    package func handlerAdded(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        self.outbox = AnswerOutbox(eventLoop: context.eventLoop) {
            let (handler, context) = bound.value
            handler.writeAnswers(context: context)
        }
        // The channel knows them; its context would ask the kernel again.
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
        for task in [self.drainDeadline, self.holdEnd, self.nextLook?.task] { task?.cancel() }
        (self.drainDeadline, self.holdEnd, self.nextLook) = (nil, nil, nil)
        self.tls = nil
        self.dropInput(context: context)
        self.share?.left(now: context.eventLoop.now)
        self.share = nil
    }

    /// Gives back what was read and will not be taken.
    private func dropInput(context: ChannelHandlerContext) {
        self.splitter = LineSplitter(maximumLength: self.configuration.maximumLineLength)
        self.reportInput(context: context)
    }

    /// Reports what the connection holds, where that has changed.
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
            if let certificate = tls?.peerCertificate { self.peer.proved(certificate, to: self.requestHandler) }
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
        case .success(let share)?:
            self.share = share
            self.peer.has(share)
        case .failure(let error)?:
            self.leave(error, context: context)
            return
        case nil: break
        }
        self.startDeadlines(context: context)
    }

    /// Tells the peer why, under no id, takes nothing more of it, and closes once all that was taken is answered.
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
        self.leave(error, context: context, within: min(self.configuration.drainTimeout, Self.displacementTimeout))
    }

    private func drain(context: ChannelHandlerContext, within timeout: TimeAmount? = nil) {
        self.perform(self.state.drain(), context: context)
        guard self.state.inFlight > 0, self.drainDeadline == nil else { return }
        self.drainDeadline = context.eventLoop.assumeIsolated().scheduleTask(
            in: timeout ?? self.configuration.drainTimeout
        ) {
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
        let bytes = Self.unwrapInboundIn(data)
        let now = context.eventLoop.now
        self.deadlines?.signOfLife(now: now)
        self.share?.received(bytes: bytes.readableBytes, now: now)
        let endedLines = self.splitter.endedLines
        self.splitter.append(bytes)
        self.takeRequests(context: context)
        let tokens = self.records.read(
            upTo: self.tls?.recordsRead ?? 0, bytes: bytes.readableBytes, lines: self.splitter.endedLines - endedLines)
        for _ in 0..<tokens where self.state.keepsInput { self.charge(now: now, context: context) }
    }

    /// Takes a token for what is no request, or a refusal's where there is none. Where there is neither the connection is closed: the
    /// peer waits for no answer, and what is left of it would be looked at for as long as the share is small.
    private func charge(now: NIODeadline, context: ChannelHandlerContext) {
        guard let share = self.share, let wait = share.request(now: now), share.hasNoRefusalLeft(now: now) else {
            return
        }
        self.dropInput(context: context)
        self.leave(.nothingAtAll(retryAfter: wait), context: context)
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.perform(self.state.writabilityChanged(context.channel.isWritable), context: context)
        context.fireChannelWritabilityChanged()
    }

    private func takeRequests(context: ChannelHandlerContext, isTurn: Bool = false) {
        guard !self.isTakingRequests, let outbox = self.outbox else { return }
        self.isTakingRequests = true
        defer {
            self.isTakingRequests = false
            self.reportInput(context: context)
        }
        let endedLines = self.splitter.endedLines
        let bufferedBytes = self.splitter.bufferedBytes
        let turnEnd = context.eventLoop.now + Self.turn.time
        // Also a single line, when it is long. Before its turn the end of one that comes in pieces is not even looked for.
        let isTurn =
            isTurn || bufferedBytes <= Self.bytesAtOnce
            || self.state.takesRequests && self.turns.takeNow(on: context.eventLoop)
        var waits = false
        while self.state.takesRequests {
            let now = context.eventLoop.now
            if let pause = self.share?.pause(now: now) {
                self.holdShare(for: pause, context: context)
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
                // An empty line is answered nothing; a person at a terminal may send one. It is paid for all the same. None is
                // long.
                if line.readableBytes > Self.bytesAtOnce || !line.readableBytesView.allSatisfy(\.isWhitespace) {
                    self.take(line, outbox, now: now, context: context)
                } else {
                    self.charge(now: now, context: context)
                }
            case .tooLong:
                self.state.taken()
                // It is a request all the same; that it is refused anyhow is answered first.
                _ = self.share?.request(now: now)
                let limit = self.configuration.maximumLineLength
                self.requestHandler.refused(.tooLarge, from: self.peer)
                let error = RPCError(
                    .tooLarge, "The line is longer than \(limit) bytes; it was skipped.", limitBytes: limit)
                outbox.append(.init(id: .null, result: .failure(error)))
            }
        }
        guard self.state.keepsInput else { return }
        // Nothing was looked at: a line that has begun has the time that it had, however often it waits for a turn.
        if waits, self.splitter.endedLines == endedLines { return }
        // What lies here unread may well be whole lines.
        self.looked(
            isInLine: self.state.takesRequests && self.splitter.isInLine,
            hasEnded: self.splitter.endedLines != endedLines, context: context)
    }

    private func take(
        _ line: ByteBuffer, _ outbox: AnswerOutbox, now: NIODeadline, context: ChannelHandlerContext
    ) {
        let bytes = line.readableBytes
        self.state.taken(bytes: bytes)
        let job = RequestJob(
            handler: self.requestHandler, peer: self.peer, outbox: outbox, logger: self.logger,
            wait: self.share?.request(now: now))
        guard let background = self.background, bytes > Self.bytesAtOnce else {
            self.requestFlush.isDue(self.requestHandler, on: context.eventLoop)
            job.carryOut(line)
            return
        }
        // One at a time, and nothing else of the connection meanwhile: what it can have done there is bounded.
        self.state.hold(.longLine)
        self.longLineBytes = bytes
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        self.longLine = background.perform(on: context.eventLoop) {
            job.prepare(line)
        } then: { request in
            let (handler, context) = bound.value
            // Also where the connection has ended meanwhile, as with every request that was begun.
            handler.requestFlush.isDue(handler.requestHandler, on: context.eventLoop)
            job.carryOut(request)
            handler.longLine = nil
            handler.longLineBytes = 0
            handler.reportInput(context: context)
            guard handler.outbox != nil else { return }
            handler.perform(handler.state.release(.longLine), context: context)
        }
    }

    private func holdShare(for time: TimeAmount, context: ChannelHandlerContext) {
        self.state.hold(.share)
        self.holdEnd = context.eventLoop.assumeIsolated().scheduleTask(in: time) {
            self.perform(self.state.release(.share), context: context)
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
        self.deadlines?.signOfLife(now: context.eventLoop.now)
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
            self.takeRequests(context: context, isTurn: isTurn)
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
        return ipAddress.contains(":") ? "[\(ipAddress)]:\(port)" : "\(ipAddress):\(port)"
    }
}
