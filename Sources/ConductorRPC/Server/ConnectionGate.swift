import Glibc
import NIOConcurrencyHelpers
package import NIOCore
import NIOTLS

/// Keeps a listener from taking more connections, or beginning more handshakes, than the server may have.
///
/// What is not taken waits in the kernel's backlog, where it costs neither a descriptor nor memory of ours; past the backlog
/// the kernel drops it. To take and close connections instead would cost two system calls for each attempt of each peer that
/// tries again, just when there is most to do.
package final class ConnectionGate: Sendable {
    /// Why no connection is taken.
    package typealias Obstacle = ConnectionGateStateMachine<ObjectIdentifier>.Obstacle

    private struct State {
        var machine: ConnectionGateStateMachine<ObjectIdentifier>
        /// Has the listener look at the machine again; any thread may call it.
        var wakeListener: (@Sendable () -> Void)?
    }

    private let state: NIOLockedValueBox<State>
    fileprivate let onObstacle: @Sendable (Obstacle, any EventLoop) -> Void

    /// - Parameters:
    ///   - connections: how many connections there may be, those whose handshake is under way among them.
    ///   - handshakes: how many handshakes may be under way.
    ///   - onObstacle: called on the listener's event loop each time that it stops taking connections.
    package init(
        connections: Int, handshakes: Int,
        onObstacle: @escaping @Sendable (Obstacle, any EventLoop) -> Void = { _, _ in }
    ) {
        self.state = NIOLockedValueBox(State(machine: .init(connections: connections, handshakes: handshakes)))
        self.onObstacle = onObstacle
    }

    /// How many connections there are, and how many of them have their handshake under way.
    package var counts: (connections: Int, handshakes: Int) {
        self.state.withLockedValue { ($0.machine.openCount, $0.machine.handshakeCount) }
    }

    /// What keeps the listener from taking a connection; nil when nothing does.
    package var obstacle: Obstacle? { self.state.withLockedValue { $0.machine.obstacle } }

    /// The connection's handshake is completed.
    func handshakeCompleted(_ connection: ObjectIdentifier) { self.change { $0.handshakeCompleted(connection) } }

    fileprivate func setListener(_ wake: (@Sendable () -> Void)?) {
        self.state.withLockedValue { $0.wakeListener = wake }
    }

    /// Changes the state, and wakes the listener if it may go on now and could not before.
    fileprivate func change(_ body: (inout ConnectionGateStateMachine<ObjectIdentifier>) -> Void) {
        let wake = self.state.withLockedValue { state -> (@Sendable () -> Void)? in
            let isShut = state.machine.obstacle != nil
            body(&state.machine)
            return isShut && state.machine.obstacle == nil ? state.wakeListener : nil
        }
        wake?()
    }
}

/// Stands in the listening channel, whose `maxMessagesPerRead` must be 1, or it takes a few connections too many.
///
/// It switches the listener's `autoRead`, for that alone takes the descriptor out of the selector at once: after an error of
/// `accept` a read is still pending, and the selector would report the same connection again and again.
package final class ConnectionGateListener: ChannelInboundHandler {
    package typealias InboundIn = any Channel
    package typealias InboundOut = any Channel

    /// How long the listener rests after it failed to take a connection, unless one ends before.
    private static let pause = TimeAmount.seconds(1)

    private let gate: ConnectionGate
    private var isListening = true

    /// - Parameter gate: the server's.
    package init(_ gate: ConnectionGate) { self.gate = gate }

    package func handlerAdded(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        self.gate.setListener { [eventLoop = context.eventLoop] in
            eventLoop.execute { bound.value.handler.update(context: bound.value.context) }
        }
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.gate.setListener(nil) }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let connection = Self.unwrapInboundIn(data)
        let id = ObjectIdentifier(connection)
        self.gate.change { $0.accepted(id) }
        connection.closeFuture.whenComplete { [gate = self.gate] _ in gate.change { $0.closed(id) } }
        self.update(context: context)
        context.fireChannelRead(data)
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // What NIO survives besides: a connection that was gone before it was taken.
        guard let error = error as? IOError, error.errnoCode != ECONNABORTED else {
            context.fireErrorCaught(error)
            return
        }
        self.gate.change { $0.failed() }
        self.update(context: context)
        context.eventLoop.scheduleTask(in: Self.pause) { [gate = self.gate] in gate.change { $0.retry() } }
    }

    private func update(context: ChannelHandlerContext) {
        let obstacle = self.gate.obstacle
        guard self.isListening != (obstacle == nil) else { return }
        self.isListening = obstacle == nil
        // It fails when the channel is closed: then nothing is taken anyway.
        try? context.channel.syncOptions?.setOption(.autoRead, value: self.isListening)
        if let obstacle { self.gate.onObstacle(obstacle, context.eventLoop) }
    }
}

/// Tells the gate when a connection's handshake is completed; stands behind its TLS handler.
package final class HandshakeWatch: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer

    private let gate: ConnectionGate

    /// - Parameter gate: the server's.
    package init(_ gate: ConnectionGate) { self.gate = gate }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted = event {
            self.gate.handshakeCompleted(ObjectIdentifier(context.channel))
        }
        context.fireUserInboundEventTriggered(event)
    }
}

/// Bound to its listener's event loop.
@available(*, unavailable)
extension ConnectionGateListener: Sendable {}

/// Bound to its connection's event loop.
@available(*, unavailable)
extension HandshakeWatch: Sendable {}
