import EventLoopFairness
package import NIOCore

// How a connection ends: on request, by the peer, by failure, by timeout.
extension TLSHandler {
    static let closedError = TLSError(.closed, "the TLS connection is closed")
    static let truncatedError = TLSError(
        .truncated, "the connection ended without TLS close_notify; the peer died, or something between cut it off")

    /// Whether the peer has sent more since this side said close_notify than is read while its own is awaited.
    var readsTooMuchToClose: Bool {
        self.state == .closing && self.engine.recordsRead - self.recordsBeforeClose >= Self.maximumClosingRecords
    }

    var endOfHandshake: TLSError {
        if !self.engine.looksLikeTLS { return self.engine.notTLS }
        return TLSError(.handshakeFailed, "the peer closed the connection during the TLS handshake")
    }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .all else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        switch self.state {
        case .closing, .finishing:
            self.joinClose(promise)
        case .closed:
            context.close(promise: promise)
        case .idle, .handshaking:
            // There is nothing to lose yet, so no farewell.
            self.joinClose(promise)
            self.closeChannel(context: context)
        case .active:
            self.joinClose(promise)
            self.pendingWrites.mark()
            self.encryptMarkedWrites(context: context)
            guard self.state == .active else { return }
            self.state = .closing
            self.recordsBeforeClose = self.engine.recordsRead
            self.scheduleDeadline(context: context, in: self.shutdownTimeout)
            self.sayCloseNotify(context: context)
            // With autoRead off the answer would never be seen.
            if self.state == .closing { context.read() }
        }
    }

    private func sayCloseNotify(context: ChannelHandlerContext) {
        switch self.engine.shutdown() {
        case .incomplete:
            self.writeCiphertext(context: context, promise: nil)
        case .complete:
            self.state = .finishing
            self.finish(context: context)
        case .failed(let error):
            self.fail(context: context, error)
        }
    }

    /// The peer has said close_notify, as an answer or of its own accord; it gets one back either way.
    func peerClosed(context: ChannelHandlerContext) {
        switch self.state {
        case .closing:
            self.state = .finishing
            self.finish(context: context)
        case .active:
            // Answers that were flushed in the meantime are encrypted already; what was not flushed is lost, as it is
            // when any channel closes.
            self.state = .closing
            self.scheduleDeadline(context: context, in: self.shutdownTimeout)
            self.sayCloseNotify(context: context)
        case .idle, .handshaking, .finishing, .closed:
            break
        }
    }

    /// Reports the error once, tells the peer by alert, and closes.
    func fail(context: ChannelHandlerContext, _ error: TLSError, within timeout: TimeAmount? = nil) {
        switch self.state {
        case .finishing, .closed: return
        case .idle, .handshaking, .active, .closing: break
        }
        self.state = .finishing
        self.step?.abandon()
        self.cancelDeadline()
        self.scheduleDeadline(context: context, in: timeout ?? self.shutdownTimeout)
        context.fireErrorCaught(error)
        self.failWrites(error)
        self.finish(context: context)
    }

    /// Writes what is left for the peer, waits until it is written (or the deadline), and closes. NIO's close alone would
    /// drop bytes that the socket has not taken yet.
    func finish(context: ChannelHandlerContext) {
        guard self.state == .finishing else { return }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in self.closeChannel(context: context) }
        self.writeCiphertext(context: context, promise: written)
    }

    private func closeChannel(context: ChannelHandlerContext) {
        guard self.state != .closed else { return }
        self.state = .closed
        self.step?.abandon()
        self.cancelDeadline()
        let promise = self.takeClosePromise()
        self.failWrites(Self.closedError)
        context.close(promise: promise)
    }

    func scheduleDeadline(context: ChannelHandlerContext, in timeout: TimeAmount) {
        self.deadline = context.eventLoop.assumeIsolated().scheduleTask(in: timeout) {
            self.deadline = nil
            self.deadlinePassed(context: context)
        }
    }

    private func deadlinePassed(context: ChannelHandlerContext) {
        switch self.state {
        case .handshaking:
            let seconds = Double(self.handshakeTimeout.nanoseconds) / 1e9
            let reason =
                self.step == nil ? "the peer is silent or too slow" : "this side was too busy to go on with it"
            self.fail(
                context: context,
                self.engine.looksLikeTLS
                    ? TLSError(
                        .handshakeTimedOut,
                        "the TLS handshake did not complete within \(seconds) s; \(reason)")
                    : self.engine.notTLS)
        case .closing, .finishing:
            // The peer had its time; this is no error to anybody who has asked to close.
            self.closeChannel(context: context)
        case .idle, .active, .closed:
            break
        }
    }

    func cancelDeadline() {
        self.deadline?.cancel()
        self.deadline = nil
    }

    func takeClosePromise() -> EventLoopPromise<Void>? {
        defer { self.closePromise = nil }
        return self.closePromise
    }

    private func joinClose(_ promise: EventLoopPromise<Void>?) {
        guard let promise else { return }
        if let first = self.closePromise {
            first.futureResult.cascade(to: promise)
        } else {
            self.closePromise = promise
        }
    }

    /// Completes every promise that waits, in order. The queue is taken first: a promise's callback may write again.
    func failWrites(_ error: TLSError) {
        let writes = self.pendingWrites
        self.pendingWrites = MarkedCircularBuffer(initialCapacity: 0)
        for write in writes { write.promise?.fail(error) }
    }
}
