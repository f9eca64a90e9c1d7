// SPDX-License-Identifier: Apache-2.0

import EventLoopScheduling
import NIOCore
import NIOTLS

// The steps of a connection's handshake. While a step runs in the background, only the step may use the engine. Bytes
// from the peer are held until the step is done. If the connection ends meanwhile, it ends without the engine and
// abandons the step.
extension TLSHandler {
    /// The maximum number of bytes that are held during a step. No legitimate flight is that long. If a peer sends more
    /// behind its flight and disconnects without waiting, its data is dropped.
    private static let maximumHeldBytes = 64 << 10

    /// Starts the handshake when the channel is active. This step is short for a client, and for a server, which has no
    /// input yet.
    func start(context: ChannelHandlerContext) {
        guard self.state == .idle else { return }
        self.state = .handshaking
        self.scheduleDeadline(context: context, in: self.handshakeTimeout)
        self.handleStep(self.engine.handshake(), context: context)
        if self.state == .handshaking { context.read() }
    }

    /// Performs the next step with the bytes that the engine was fed; in the background if the handler has one.
    func takeStep(context: ChannelHandlerContext) {
        guard let background = self.background else {
            self.handleStep(self.engine.handshake(), context: context)
            return
        }
        // No other code uses the engine until the completion has run; `self.step` guards it.
        nonisolated(unsafe) let engine = self.engine
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        // The last step of a handshake goes before the first steps of others; otherwise all peers that connect at once
        // would complete only at the end. This applies once for each connection: a peer that sends its last flight in
        // many pieces causes a step for each piece.
        let isNearlyDone = self.hasSentHandshakeData && !self.hasUsedPriority
        if isNearlyDone { self.hasUsedPriority = true }
        self.step = background.perform(on: context.eventLoop, isContinuation: isNearlyDone) {
            engine.handshake()
        } then: { outcome in
            let (handler, context) = bound.value
            handler.returned(outcome, context: context)
        }
    }

    /// Whether the handler reads now. During the first step the peer waits for a response, and to stop reading and
    /// start again would cost two system calls without benefit. During the last step requests may follow at once, and
    /// it is better to read them after the step.
    var isReading: Bool { self.step == nil || !self.hasSentHandshakeData && self.heldInput.readableBytes == 0 }

    /// Holds bytes that arrive during a step; fails the connection if there are too many.
    func holdInput(_ bytes: ByteBuffer, context: ChannelHandlerContext) {
        self.heldInput.writeImmutableBuffer(bytes)
        guard self.heldInput.readableBytes > Self.maximumHeldBytes else { return }
        self.heldInput = ByteBuffer()
        let error = TLSError(
            .handshakeFailed, "the peer sent more than a handshake needs without waiting for this side's response")
        self.fail(context: context, error)
    }

    private func returned(_ outcome: TLSEngine.Outcome, context: ChannelHandlerContext) {
        self.step = nil
        let input = self.heldInput
        self.heldInput = ByteBuffer()
        // The connection has failed or closed.
        guard self.state == .handshaking else { return }
        if input.readableBytes > 0 {
            do {
                try self.engine.feed(input)
            } catch {
                self.fail(context: context, error)
                return
            }
        }
        self.handleStep(outcome, context: context)
        if self.state == .handshaking, input.readableBytes > 0 { self.takeStep(context: context) }
        guard self.step == nil else { return }
        self.completeDelivery(context: context)
        if self.isEndDeferred {
            self.inputEnded(context: context)
        } else if self.heldRead {
            self.heldRead = false
            self.read(context: context)
        } else {
            self.readOn(context: context)
        }
    }

    /// Handles the result of a step.
    private func handleStep(_ outcome: TLSEngine.Outcome, context: ChannelHandlerContext) {
        switch outcome {
        case .incomplete:
            self.writeCiphertext(context: context, promise: nil)
        case .failed(let error):
            self.fail(context: context, error)
        case .complete:
            self.state = .active
            self.cancelDeadline()
            self.writeCiphertext(context: context, promise: nil)
            self.register(context: context)
            guard self.state == .active else { return }
            let name = self.engine.negotiatedProtocol
            context.fireUserInboundEventTriggered(TLSUserEvent.handshakeCompleted(negotiatedProtocol: name))
            // Data may have arrived with the last flight. Decrypting it first lets responses join the writes that are
            // queued.
            self.decrypt(context: context)
            self.encryptMarkedWrites(context: context)
        }
    }
}
