import EventLoopFairness
import NIOCore
import NIOTLS

// How a connection's handshake goes on, step by step. While a step is under way in the background the engine is the step's: what
// comes from the peer is kept, and what ends the connection ends it without the engine and abandons the step.
extension TLSHandler {
    /// How many bytes may come while a step is under way. No honest flight is as long; a peer that sends as much behind it, and
    /// leaves without waiting, is not heard.
    private static let maximumHeldBytes = 64 << 10

    /// Begins, when the channel is active. A client's first step and a server's empty one are short.
    func start(context: ChannelHandlerContext) {
        guard self.state == .idle else { return }
        self.state = .handshaking
        self.scheduleDeadline(context: context, in: self.handshakeTimeout)
        self.stepped(self.engine.handshake(), context: context)
        if self.state == .handshaking { context.read() }
    }

    /// Takes the next step with what the engine was fed.
    func takeStep(context: ChannelHandlerContext) {
        guard let background = self.background else {
            self.stepped(self.engine.handshake(), context: context)
            return
        }
        // Nobody else touches it until the completion has run: `self.step` says so.
        nonisolated(unsafe) let engine = self.engine
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        // Who is nearly done goes before who begins: else all who come at once would be done at the end. Once, for who sends a last
        // flight in many pieces would have a step for each.
        let isNearlyDone = self.hasSpoken && !self.hasGoneFirst
        if isNearlyDone { self.hasGoneFirst = true }
        self.step = background.perform(on: context.eventLoop, isContinuation: isNearlyDone) {
            engine.handshake()
        } then: { outcome in
            let (handler, context) = bound.value
            handler.returned(outcome, context: context)
        }
    }

    /// Whether anything is read now. Amid the first step the peer waits for an answer, and to stop reading and begin again would cost
    /// two system calls for nothing. Amid the last one requests may follow at once, which are better read when it is done.
    var isReading: Bool { self.step == nil || !self.hasSpoken && self.heldInput.readableBytes == 0 }

    /// Keeps what came amid a step.
    func holdInput(_ bytes: ByteBuffer, context: ChannelHandlerContext) {
        self.heldInput.writeImmutableBuffer(bytes)
        guard self.heldInput.readableBytes > Self.maximumHeldBytes else { return }
        self.heldInput = ByteBuffer()
        let error = TLSError(.handshakeFailed, "the peer sent more than a handshake needs before it was its turn")
        self.fail(context: context, error)
    }

    private func returned(_ outcome: TLSEngine.Outcome, context: ChannelHandlerContext) {
        self.step = nil
        let input = self.heldInput
        self.heldInput = ByteBuffer()
        // The connection has failed, or is gone.
        guard self.state == .handshaking else { return }
        if input.readableBytes > 0 {
            do {
                try self.engine.feed(input)
            } catch {
                self.fail(context: context, error)
                return
            }
        }
        self.stepped(outcome, context: context)
        if self.state == .handshaking, input.readableBytes > 0 { self.takeStep(context: context) }
        guard self.step == nil else { return }
        self.completeDelivery(context: context)
        if self.heldEnd {
            self.inputEnded(context: context)
        } else if self.heldRead {
            self.heldRead = false
            self.read(context: context)
        } else {
            self.readOn(context: context)
        }
    }

    /// Deals with what a step has led to.
    private func stepped(_ outcome: TLSEngine.Outcome, context: ChannelHandlerContext) {
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
            // Data may have come along with the last flight. Reading first lets answers join the writes that waited.
            self.decrypt(context: context)
            self.encryptMarkedWrites(context: context)
        }
    }
}
