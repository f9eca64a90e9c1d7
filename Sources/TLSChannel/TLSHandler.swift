// SPDX-License-Identifier: Apache-2.0

package import EventLoopScheduling
import Glibc
package import NIOCore
import NIOTLS

/// A channel handler that encrypts and decrypts a channel's bytes with TLS.
///
/// Plaintext is above the handler, ciphertext below. The handler fires
/// `TLSUserEvent.handshakeCompleted(negotiatedProtocol:)` once, after it has set ``peerCertificate``. It fires every
/// failure as one ``TLSError`` through `errorCaught`, then closes the channel. The alert with the reason goes to the
/// peer first, unless a step of the handshake is running in the background.
///
/// - Writes before the handshake has completed are queued, up to ``maximumEarlyBytes``. A write that exceeds this limit
///   fails, and the connection closes.
/// - `close(mode: .all)` flushes, sends close_notify, and waits for the peer's, up to the shutdown timeout or
///   ``maximumClosingRecords``. Data that arrives meanwhile is still delivered. Half-closure is not supported.
/// - A connection that ends without close_notify fails with `.truncated`, unless this side has begun to close it.
/// - Handshake steps that a peer's bytes cause run in the background, if the handler has a `background`: each step
///   costs as much as many requests, and unauthenticated peers can cause steps.
/// - The handler reads on its own behalf only to continue the handshake and the shutdown, and when a requested read has
///   yielded no plaintext.
///
/// The handler belongs to its channel's event loop and is not Sendable.
package final class TLSHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// The default time limit of a handshake.
    package static let defaultHandshakeTimeout = TimeAmount.seconds(10)
    /// The default time that a connection which closes waits for its peer's close_notify.
    package static let defaultShutdownTimeout = TimeAmount.seconds(5)

    /// The limit of bytes written before the handshake has completed: 1 MiB. Each write counts as at least 64 bytes.
    package static let maximumEarlyBytes = 1 << 20

    /// The limit of records read while waiting for the peer's close_notify: more than a normal peer has in flight.
    package static let maximumClosingRecords: UInt64 = 4096

    enum State {
        /// Waiting for the channel to become active.
        case idle
        case handshaking
        case active
        /// This side has sent close_notify and waits for the peer's.
        case closing
        /// The last bytes (an alert, or a close_notify in response) are being written; then the channel closes.
        case finishing
        case closed
    }

    struct PendingWrite {
        let bytes: ByteBuffer
        let promise: EventLoopPromise<Void>?
    }

    /// The connection's TLS engine. While there is a ``step``, only the engine's `firstBytes` may be accessed.
    let engine: TLSEngine
    /// The live context that closes this connection when its peer is revoked or is no longer trusted.
    let live: LiveTLSContext?
    var registration: UInt64?
    /// Returns the wall-clock time in seconds since 1970 (UTC). Tests replace it.
    var calendar: () -> Int64 = { Int64(time(nil)) }
    /// The scheduled check of whether the peer's certificates have expired.
    var expiryLook: Scheduled<Void>?
    /// The executor of a server's handshake steps; nil to run them on the event loop.
    let background: (any BackgroundExecutor)?
    /// The step of the handshake that is running in the background.
    var step: PendingWork?
    /// Whether this side has sent handshake data. Once a server has, the peer's next flight completes the handshake,
    /// unless the server requested a second ClientHello.
    var hasSentHandshakeData = false
    /// Whether a step of this handshake has already gone before the first steps of other handshakes.
    var hasUsedPriority = false
    /// The bytes that have arrived from the peer during the step.
    var heldInput = ByteBuffer()
    /// Whether a read was requested during the step.
    var heldRead = false
    /// Whether the peer's input has ended during the step.
    var isEndDeferred = false
    let handshakeTimeout: TimeAmount
    let shutdownTimeout: TimeAmount
    /// The state of the connection. It is set before any call that may call back into this handler.
    var state = State.idle
    var pendingWrites = MarkedCircularBuffer<PendingWrite>(initialCapacity: 0)
    var earlyBytes = 0
    /// The deadline of the handshake or of the shutdown; there is never more than one.
    var deadline: Scheduled<Void>?
    var closePromise: EventLoopPromise<Void>?
    /// The number of records with plaintext that had arrived when this side sent close_notify.
    var recordsBeforeClose: UInt64 = 0
    private var deliveredPlaintext = false
    /// Whether a handler above has requested data and has not received any yet.
    private var readWanted = false

    /// The peer's verified certificate; nil before `handshakeCompleted`.
    package var peerCertificate: PeerCertificate? { self.engine.peerCertificate }
    /// The number of records with plaintext that have arrived from the peer.
    package var recordsRead: UInt64 { self.engine.recordsRead }
    /// The negotiated version; nil before `handshakeCompleted`.
    package var negotiatedVersion: TLSVersion? { self.engine.version }

    /// Creates the handler of one connection. The handshake starts when the handler is added to an active channel, or
    /// when its channel becomes active.
    ///
    /// `serverName` is required for a client context and ignored for a server's. Throws `.invalidConfiguration` if it
    /// is missing or cannot be a host, and `.internalFailure` when memory runs out.
    package convenience init(
        context: TLSContext,
        serverName: String?,
        handshakeTimeout: TimeAmount = TLSHandler.defaultHandshakeTimeout,
        shutdownTimeout: TimeAmount = TLSHandler.defaultShutdownTimeout
    ) throws(TLSError) {
        try self.init(context, nil, serverName, nil, handshakeTimeout, shutdownTimeout)
    }

    /// Creates the handler of one connection under the current context of `live`. Throws the same errors.
    ///
    /// The connection is closed with `.revoked`, `.untrusted` or `.expired` when its peer is revoked, its peer's
    /// authority is no longer trusted, or its peer's chain expires. `background` runs the handshake steps of a server's
    /// connections.
    package convenience init(
        live: LiveTLSContext,
        serverName: String?,
        background: (any BackgroundExecutor)? = nil,
        handshakeTimeout: TimeAmount = TLSHandler.defaultHandshakeTimeout,
        shutdownTimeout: TimeAmount = TLSHandler.defaultShutdownTimeout
    ) throws(TLSError) {
        try self.init(live.current, live, serverName, background, handshakeTimeout, shutdownTimeout)
    }

    private init(
        _ context: TLSContext, _ live: LiveTLSContext?, _ serverName: String?, _ background: (any BackgroundExecutor)?,
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
        // The event goes first: the handshake may close the channel again.
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

    /// Handles the end of the input, which arrives as an event where half-closure keeps the channel open.
    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .some(.inputClosed) = event as? ChannelEvent else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        if self.step != nil, self.hasSentHandshakeData {
            // The peer may have sent everything that it had to send, so the step completes first.
            self.isEndDeferred = true
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

    /// Reads on the handler's own behalf where no handler above would request another read. It does not read while the
    /// channel is not writable: protocol messages may need responses, and responses that the peer does not read would
    /// pile up.
    func readOn(context: ChannelHandlerContext) {
        guard context.channel.isWritable, self.isReading else { return }
        switch self.state {
        case .handshaking, .closing:
            context.read()
        case .active:
            // The requested read ended in an incomplete record. With autoRead off no handler requests another read,
            // since it has received nothing.
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

    /// Delivers all plaintext that has arrived as one buffer, then handles the reason why reading ended.
    func decrypt(context: ChannelHandlerContext) {
        guard self.state == .active || self.state == .closing else { return }
        var plaintext = ByteBuffer()
        var outcome = self.engine.read(into: &plaintext)
        while case .bytes = outcome, !self.readsTooMuchToClose {
            outcome = self.engine.read(into: &plaintext)
        }
        // The response to a key update, for example.
        self.writeCiphertext(context: context, promise: nil)
        if plaintext.readableBytes > 0 {
            self.deliveredPlaintext = true
            self.readWanted = false
            context.fireChannelRead(self.wrapInboundOut(plaintext))
        }
        switch outcome {
        case .bytes, .incomplete:
            // The rest of the peer's data, perhaps tens of MiB, is in the kernel's buffers. Decrypting it would cost
            // this side work.
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

    /// Signals the end of a batch of reads if plaintext was delivered. Call it before the channel closes: handlers
    /// above flush their responses when a batch of reads is complete.
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
            // The channel's writability does not account for this queue.
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

    /// Encrypts all writes up to the mark and forwards them as one buffer, with one promise for all.
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
        // During a step the engine must not be used. It holds nothing from before the step, and what the step produces
        // comes too late if the connection closes meanwhile.
        if self.step == nil, let ciphertext = self.engine.takeCiphertext(allocator: context.channel.allocator) {
            self.hasSentHandshakeData = true
            context.writeAndFlush(self.wrapOutboundOut(ciphertext), promise: promise)
        } else if let promise {
            // An empty write completes after the writes that are still in flight.
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer()), promise: promise)
        }
    }
}

@available(*, unavailable)
extension TLSHandler: Sendable {}
