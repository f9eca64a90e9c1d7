package import EventLoopFairness
import Glibc
package import NIOCore
import NIOTLS

/// Turns a channel's bytes into TLS and back.
///
/// Plaintext is above it, ciphertext below. Fires `TLSUserEvent.handshakeCompleted(negotiatedProtocol:)` once, with
/// ``peerCertificate`` set before. Every failure is one ``TLSError`` through `errorCaught`, after which the handler closes
/// the channel (the alert that tells the peer why goes out first, unless a step of the handshake is under way).
///
/// - Writes before the handshake has completed are kept, up to ``maximumEarlyBytes``; past that the write fails and the
///   connection is closed.
/// - `close(mode: .all)` flushes, says close_notify, and waits for the peer's answer up to the shutdown timeout, or
///   ``maximumClosingRecords``; what arrives meanwhile is still delivered. Half-closure is not supported.
/// - The end of the connection without close_notify is `.truncated`, unless this side has begun to close.
/// - The steps of a handshake that a peer's bytes call for are taken in the background, where the handler is given one: each
///   costs as much as many a request, and strangers may ask for them.
/// - It never reads for itself, except to get on with the handshake and the shutdown, and when a read that was asked for
///   has yielded no plaintext.
///
/// Belongs to its channel's event loop and is not Sendable.
package final class TLSHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// How many bytes may be written before the handshake has completed: 1 MiB. Each write counts for 64 bytes at least.
    package static let maximumEarlyBytes = 1 << 20

    /// How many records are read while the peer's close_notify is awaited: more than a decent peer has on their way.
    package static let maximumClosingRecords: UInt64 = 4096

    enum State {
        /// Waiting for the channel to become active.
        case idle
        case handshaking
        case active
        /// close_notify is said, the peer's is awaited.
        case closing
        /// The last bytes (an alert, an answer to close_notify) are on their way; then the channel is closed.
        case finishing
        case closed
    }

    struct PendingWrite {
        let bytes: ByteBuffer
        let promise: EventLoopPromise<Void>?
    }

    /// Not to be touched while there is a ``step``, but for what came first.
    let engine: TLSEngine
    /// Where the connection registers, to be cut should its peer be revoked.
    let live: LiveTLSContext?
    var registration: UInt64?
    /// The time of the calendar, in seconds since 1970 (UTC); another one in tests.
    var calendar: () -> Int64 = { Int64(time(nil)) }
    /// When to see whether the peer's certificates have expired.
    var expiryLook: Scheduled<Void>?
    /// Where a server takes the steps of its handshakes; nil to take them here.
    let background: (any BackgroundWork)?
    /// The step of the handshake that is under way in the background.
    var step: PendingWork?
    /// The server has answered: what the peer says next completes the handshake, unless it was asked for another hello.
    var hasSpoken = false
    /// A step of the handshake went before those that other peers begin with.
    var hasGoneFirst = false
    /// What came from the peer meanwhile.
    var heldInput = ByteBuffer()
    /// A read that was asked for meanwhile.
    var heldRead = false
    /// The peer has said all meanwhile.
    var heldEnd = false
    let handshakeTimeout: TimeAmount
    let shutdownTimeout: TimeAmount
    /// Always set before anything is called that may call back into this handler.
    var state = State.idle
    var pendingWrites = MarkedCircularBuffer<PendingWrite>(initialCapacity: 0)
    var earlyBytes = 0
    /// Of the handshake or of the shutdown; there is never more than one.
    var deadline: Scheduled<Void>?
    var closePromise: EventLoopPromise<Void>?
    /// How many records with plaintext had come when this side said close_notify.
    var recordsBeforeClose: UInt64 = 0
    private var deliveredPlaintext = false
    /// Somebody above has asked for data and has not got any yet.
    private var readWanted = false

    /// The peer's verified certificate; nil before `handshakeCompleted`.
    package var peerCertificate: PeerCertificate? { self.engine.peerCertificate }
    /// How many records with plaintext have come from the peer.
    package var recordsRead: UInt64 { self.engine.recordsRead }
    /// The version that was agreed on; nil before `handshakeCompleted`.
    package var negotiatedVersion: TLSVersion? { self.engine.version }

    /// Makes the handler of one connection; it starts when it is added to an active channel, or when that becomes active.
    ///
    /// `serverName` is required for a client context and ignored for a server's. Throws `.invalidConfiguration` if it is
    /// missing or cannot be a host, and `.internalFailure` when memory runs out.
    package convenience init(
        context: TLSContext,
        serverName: String?,
        handshakeTimeout: TimeAmount = .seconds(10),
        shutdownTimeout: TimeAmount = .seconds(5)
    ) throws(TLSError) {
        try self.init(context, nil, serverName, nil, handshakeTimeout, shutdownTimeout)
    }

    /// The same with the present context; the connection is cut, with `.revoked`, when its peer's certificate is.
    ///
    /// `background` is the server's that the connection is one of.
    package convenience init(
        live: LiveTLSContext,
        serverName: String?,
        background: (any BackgroundWork)? = nil,
        handshakeTimeout: TimeAmount = .seconds(10),
        shutdownTimeout: TimeAmount = .seconds(5)
    ) throws(TLSError) {
        try self.init(live.current, live, serverName, background, handshakeTimeout, shutdownTimeout)
    }

    private init(
        _ context: TLSContext, _ live: LiveTLSContext?, _ serverName: String?, _ background: (any BackgroundWork)?,
        _ handshakeTimeout: TimeAmount, _ shutdownTimeout: TimeAmount
    ) throws(TLSError) {
        self.engine = try TLSEngine(context: context, serverName: serverName)
        self.live = live
        self.background = background
        self.handshakeTimeout = handshakeTimeout
        self.shutdownTimeout = shutdownTimeout
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { self.start(context: context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        self.state = .closed
        self.step?.abandon()
        self.deregister()
        self.cancelDeadline()
        let promise = self.takeClosePromise()
        self.failWrites(Self.closedError)
        promise?.succeed()
    }

    package func channelActive(context: ChannelHandlerContext) {
        // First the news, then the handshake, which may close the channel again.
        context.fireChannelActive()
        self.start(context: context)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        let previous = self.state
        self.state = .closed
        self.step?.abandon()
        self.deregister()
        self.cancelDeadline()
        let promise = self.takeClosePromise()
        let error: TLSError?
        switch previous {
        case .handshaking: error = self.endOfHandshake
        case .active: error = Self.truncatedError
        case .idle, .closing, .finishing, .closed: error = nil
        }
        if let error { context.fireErrorCaught(error) }
        self.failWrites(error ?? Self.closedError)
        promise?.succeed()
        context.fireChannelInactive()
    }

    /// With half-closure allowed on the channel, the end of input comes as an event, and the channel stays open.
    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .some(.inputClosed) = event as? ChannelEvent else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        if self.step != nil, self.hasSpoken {
            // It may have said all that it wants to.
            self.heldEnd = true
        } else {
            self.inputEnded(context: context)
        }
        context.fireUserInboundEventTriggered(event)
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.state {
        case .idle, .finishing, .closed: return
        case .handshaking, .active, .closing: break
        }
        guard self.step == nil else {
            self.holdInput(self.unwrapInboundIn(data), context: context)
            return
        }
        do {
            try self.engine.feed(self.unwrapInboundIn(data))
        } catch {
            self.fail(context: context, error)
            return
        }
        if self.state == .handshaking {
            self.takeStep(context: context)
        } else {
            self.decrypt(context: context)
        }
    }

    func inputEnded(context: ChannelHandlerContext) {
        switch self.state {
        case .handshaking: self.fail(context: context, self.endOfHandshake)
        case .active: self.fail(context: context, Self.truncatedError)
        case .closing:
            self.state = .finishing
            self.finish(context: context)
        case .idle, .finishing, .closed: break
        }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        self.completeDelivery(context: context)
        self.readOn(context: context)
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        context.fireChannelWritabilityChanged()
        self.readOn(context: context)
    }

    /// Reads for itself where no handler above would ask again. Not while the peer takes nothing: a message of the protocol may
    /// have to be answered, and answers that are not taken pile up.
    func readOn(context: ChannelHandlerContext) {
        guard context.channel.isWritable, self.isReading else { return }
        switch self.state {
        case .handshaking, .closing:
            context.read()
        case .active:
            // The read that was asked for went into a record that is not whole yet. With autoRead off no handler would ask
            // again, for want of an answer.
            if self.readWanted { context.read() }
        case .idle, .finishing, .closed:
            break
        }
    }

    package func read(context: ChannelHandlerContext) {
        self.readWanted = true
        if self.isReading {
            context.read()
        } else {
            self.heldRead = true
        }
    }

    // MARK: data

    /// Delivers all the plaintext that has arrived as one buffer, then deals with what ended the reading.
    func decrypt(context: ChannelHandlerContext) {
        guard self.state == .active || self.state == .closing else { return }
        var plaintext = ByteBuffer()
        var outcome = self.engine.read(into: &plaintext)
        while case .bytes = outcome, !self.readsTooMuchToClose {
            outcome = self.engine.read(into: &plaintext)
        }
        // An answer to a key update, for example.
        self.writeCiphertext(context: context, promise: nil)
        if plaintext.readableBytes > 0 {
            self.deliveredPlaintext = true
            self.readWanted = false
            context.fireChannelRead(self.wrapInboundOut(plaintext))
        }
        switch outcome {
        case .bytes, .incomplete:
            // What else the peer has sent lies in the system's buffers, tens of MiB of it perhaps: its work would be this side's.
            guard self.readsTooMuchToClose else { break }
            self.completeDelivery(context: context)
            self.state = .finishing
            self.finish(context: context)
        case .closed:
            self.completeDelivery(context: context)
            self.peerClosed(context: context)
        case .failed(let error):
            self.completeDelivery(context: context)
            self.fail(context: context, error)
        }
    }

    /// Must come before the channel closes: handlers above flush their answers when a batch of reads is complete.
    func completeDelivery(context: ChannelHandlerContext) {
        guard self.deliveredPlaintext else { return }
        self.deliveredPlaintext = false
        context.fireChannelReadComplete()
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let bytes = self.unwrapOutboundIn(data)
        switch self.state {
        case .closing, .finishing, .closed:
            promise?.fail(Self.closedError)
            return
        case .active:
            break
        case .idle, .handshaking:
            // The channel's writability knows nothing of this queue.
            self.earlyBytes += max(bytes.readableBytes, 64)
            guard self.earlyBytes <= Self.maximumEarlyBytes else {
                let error = TLSError(
                    .writeQueueFull,
                    "more than \(Self.maximumEarlyBytes) bytes were written before the TLS handshake completed;"
                        + " wait for handshakeCompleted")
                self.fail(context: context, error)
                promise?.fail(error)
                return
            }
        }
        self.pendingWrites.append(PendingWrite(bytes: bytes, promise: promise))
    }

    package func flush(context: ChannelHandlerContext) {
        self.pendingWrites.mark()
        if self.state == .active { self.encryptMarkedWrites(context: context) }
    }

    /// Encrypts everything up to the mark and hands it on as one buffer, with one promise for all.
    func encryptMarkedWrites(context: ChannelHandlerContext) {
        guard self.state == .active, self.pendingWrites.hasMark else { return }
        var promises: [EventLoopPromise<Void>] = []
        var packer = RecordPacker(engine: self.engine)
        var failure: TLSError?
        while failure == nil, self.pendingWrites.hasMark {
            let write = self.pendingWrites.removeFirst()
            if let promise = write.promise { promises.append(promise) }
            failure = packer.add(write.bytes, isLast: !self.pendingWrites.hasMark)
        }
        if let failure {
            self.fail(context: context, failure)
            for promise in promises { promise.fail(failure) }
            return
        }
        self.writeCiphertext(context: context, promise: self.combine(promises, on: context.eventLoop))
    }

    private func combine(_ promises: [EventLoopPromise<Void>], on eventLoop: any EventLoop) -> EventLoopPromise<Void>? {
        guard promises.count > 1 else { return promises.first }
        let all = eventLoop.makePromise(of: Void.self)
        all.futureResult.whenComplete { result in
            for promise in promises { promise.completeWith(result) }
        }
        return all
    }

    func writeCiphertext(context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) {
        // A step that is under way leaves nothing here, and what it has to say comes too late when the connection closes.
        if self.step == nil, let ciphertext = self.engine.takeCiphertext(allocator: context.channel.allocator) {
            self.hasSpoken = true
            context.writeAndFlush(self.wrapOutboundOut(ciphertext), promise: promise)
        } else if let promise {
            // An empty write keeps its place behind those that are still on their way.
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer()), promise: promise)
        }
    }
}

@available(*, unavailable)
extension TLSHandler: Sendable {}
