// SPDX-License-Identifier: Apache-2.0

import EventLoopScheduling
package import NIOCore

// The end of a connection: on request, by the peer, by failure, by timeout.
extension TLSHandler {
    static let closedError = TLSError(.closed, "the TLS connection is closed")
    static let truncatedError = TLSError(
        .truncated, "the connection ended without TLS close_notify; the peer died, or the network closed the connection"
    )

    /// Whether the peer has sent as many records since this side's close_notify as are read while waiting for the
    /// peer's.
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
            // No data was exchanged yet, so no close_notify is needed.
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
            self.sendCloseNotify(context: context)
            // With autoRead off the peer's close_notify would never be read.
            if self.state == .closing { context.read() }
        }
    }

    private func sendCloseNotify(context: ChannelHandlerContext) {
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

    /// Handles the peer's close_notify. If this side has not sent one yet, it sends one in response.
    func peerClosed(context: ChannelHandlerContext) {
        switch self.state {
        case .closing:
            self.state = .finishing
            self.finish(context: context)
        case .active:
            // Responses that were flushed meanwhile are encrypted already. Those that were not flushed are lost, as
            // when any channel closes.
            self.state = .closing
            self.scheduleDeadline(context: context, in: self.shutdownTimeout)
            self.sendCloseNotify(context: context)
        case .idle, .handshaking, .finishing, .closed:
            break
        }
    }

    /// Fires the error once, sends the peer an alert, and closes the connection.
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

    /// Writes the remaining bytes for the peer, waits until they are written (or the deadline passes), and closes the
    /// channel. NIO's close alone would drop bytes that the socket has not accepted yet.
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
                self.step == nil ? "the peer is silent or too slow" : "this side was too busy to continue it"
            self.fail(
                context: context,
                self.engine.looksLikeTLS
                    ? TLSError(
                        .handshakeTimedOut,
                        "the TLS handshake did not complete within \(seconds) s; \(reason)")
                    : self.engine.notTLS)
        case .closing, .finishing:
            // The peer's time is over. For a caller that asked to close, this is not an error.
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

    /// Fails the promise of every pending write, in order. The queue is emptied first: a promise's callback may write
    /// again.
    func failWrites(_ error: TLSError) {
        let writes = self.pendingWrites
        self.pendingWrites = MarkedCircularBuffer(initialCapacity: 0)
        for write in writes { write.promise?.fail(error) }
    }
}
