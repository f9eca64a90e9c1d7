// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOConcurrencyHelpers
package import NIOCore
import NIOTLS

/// The gate of a server, which keeps connections within their limits until their handshakes are complete.
/// ``ConnectionGateStateMachine`` decides how.
///
/// A listener accepts every connection, because the kernel's backlog is one queue for all peers: a new connection would
/// wait there behind everything that a hostile peer has put into it.
package final class ConnectionGate: Sendable {
    package typealias Machine = ConnectionGateStateMachine<ObjectIdentifier>

    /// A command to a pending connection, or to one whose handshake is in progress.
    enum Command {
        /// Begin the handshake.
        case begin
        /// Close the connection: others need its place.
        case close
    }

    fileprivate struct State {
        var machine: Machine
        /// The functions that pass commands to connections whose handshakes are not complete.
        var commands: [ObjectIdentifier: @Sendable (Command) -> Void] = [:]
        /// Makes the listener check again whether to accept. Any thread may call it.
        var wakeListener: (@Sendable () -> Void)?
        var nextCheck: NIODeadline?
        var dropped = 0
    }

    private let state: NIOLockedValueBox<State>
    private let onDrop: @Sendable (Machine.Reason, any EventLoop) -> Void
    fileprivate let onFailure: @Sendable (any EventLoop) -> Void

    /// - Parameters:
    ///   - limits: how many connections may be in each state.
    ///   - onDrop: called on an event loop for each connection that is closed to make room.
    ///   - onFailure: called on the listener's event loop when it could not accept a connection.
    package init(
        _ limits: Machine.Limits, onDrop: @escaping @Sendable (Machine.Reason, any EventLoop) -> Void = { _, _ in },
        onFailure: @escaping @Sendable (any EventLoop) -> Void = { _ in }
    ) {
        self.state = NIOLockedValueBox(State(machine: Machine(limits)))
        self.onDrop = onDrop
        self.onFailure = onFailure
    }

    /// The number of connections in each state.
    package var counts: Machine.Counts { self.state.withLockedValue { $0.machine.counts } }

    /// The number of connections that were closed to make room for others.
    package var dropped: Int { self.state.withLockedValue { $0.dropped } }

    /// Whether connections are accepted.
    package var isAccepting: Bool { self.state.withLockedValue { $0.machine.isAccepting } }

    /// Adds a connection that was accepted.
    ///
    /// - Parameter command: called on the connection's event loop, not before this function has returned.
    func accepted(
        _ channel: any Channel, from address: NetworkAddress, command: @escaping @Sendable (Command) -> Void
    ) {
        let (id, eventLoop) = (ObjectIdentifier(channel), channel.eventLoop)
        self.change(on: eventLoop) { state in
            state.commands[id] = { what in eventLoop.execute { command(what) } }
            return state.machine.accepted(id, from: address, now: eventLoop.now)
        }
        channel.closeFuture.whenComplete { [weak self] _ in self?.closed(id, eventLoop) }
    }

    /// Records that the connection's ClientHello is complete.
    func helloCompleted(_ channel: any Channel) {
        self.change(on: channel.eventLoop) {
            $0.machine.helloCompleted(ObjectIdentifier(channel), now: channel.eventLoop.now)
        }
    }

    /// Records that the connection's handshake is complete.
    func handshakeCompleted(_ channel: any Channel) {
        self.change(on: channel.eventLoop) { state in
            state.commands[ObjectIdentifier(channel)] = nil
            return state.machine.handshakeCompleted(ObjectIdentifier(channel), now: channel.eventLoop.now)
        }
    }

    private func closed(_ id: ObjectIdentifier, _ eventLoop: any EventLoop) {
        self.change(on: eventLoop) { state in
            state.commands[id] = nil
            return state.machine.closed(id, now: eventLoop.now)
        }
    }

    fileprivate func setListener(_ wake: (@Sendable () -> Void)?) {
        self.state.withLockedValue { $0.wakeListener = wake }
    }

    /// Changes the state, carries out the machine's actions, and wakes the listener if it may accept now and could not
    /// before.
    fileprivate func change(on eventLoop: any EventLoop, _ body: (inout State) -> [Machine.Action]) {
        var wake: (@Sendable () -> Void)?
        var commands: [(@Sendable (Command) -> Void, Command)] = []
        var drops: [Machine.Reason] = []
        var check: NIODeadline?
        self.state.withLockedValue { state in
            let wasAccepting = state.machine.isAccepting
            for action in body(&state) {
                switch action {
                case .begin(let id):
                    if let command = state.commands[id] { commands.append((command, .begin)) }
                case .close(let id, let reason):
                    drops.append(reason)
                    if let command = state.commands.removeValue(forKey: id) { commands.append((command, .close)) }
                }
            }
            state.dropped += drops.count
            if !wasAccepting, state.machine.isAccepting { wake = state.wakeListener }
            if let next = state.machine.nextCheck, state.nextCheck.map({ next < $0 }) ?? true {
                state.nextCheck = next
                check = next
            }
        }
        for (command, what) in commands { command(what) }
        for reason in drops { self.onDrop(reason, eventLoop) }
        wake?()
        if let check {
            eventLoop.scheduleTask(deadline: check) { [weak self] in
                self?.change(on: eventLoop) { state in
                    // By now another check may be scheduled before or after this one.
                    if state.nextCheck == check { state.nextCheck = nil }
                    return state.machine.checkDeadlines(now: eventLoop.now)
                }
            }
        }
    }
}

/// The handler in the listening channel, which stops and resumes accepting.
///
/// It switches the listener's `autoRead`, because only that removes the descriptor from the selector at once. After an
/// error of `accept` a read is still pending, and the selector would report the same connection again and again.
package final class ConnectionGateAcceptHandler: ChannelInboundHandler {
    package typealias InboundIn = any Channel
    package typealias InboundOut = any Channel

    /// The time for which the listener pauses after it failed to accept a connection, unless a connection ends before.
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

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // NIO itself handles a connection that was closed before it was accepted.
        guard let error = error as? IOError, error.errnoCode != ECONNABORTED else {
            context.fireErrorCaught(error)
            return
        }
        let eventLoop = context.eventLoop
        self.gate.change(on: eventLoop) { $0.machine.failed(now: eventLoop.now) }
        self.update(context: context)
        self.gate.onFailure(eventLoop)
        eventLoop.scheduleTask(in: Self.pause) { [gate = self.gate] in
            gate.change(on: eventLoop) { state in
                state.machine.retry()
                return []
            }
        }
    }

    private func update(context: ChannelHandlerContext) {
        let isAccepting = self.gate.isAccepting
        guard self.isListening != isAccepting else { return }
        self.isListening = isAccepting
        // This fails when the channel is closed: then nothing is accepted anyway.
        try? context.channel.syncOptions?.setOption(.autoRead, value: isAccepting)
    }
}

/// A handler that notifies the gate when a connection's handshake is complete. It follows the TLS handler in the
/// pipeline.
package final class HandshakeCompletionHandler: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer

    private let gate: ConnectionGate

    /// - Parameter gate: the server's.
    package init(_ gate: ConnectionGate) { self.gate = gate }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted = event { self.gate.handshakeCompleted(context.channel) }
        context.fireUserInboundEventTriggered(event)
    }
}

/// Bound to its listener's event loop.
@available(*, unavailable)
extension ConnectionGateAcceptHandler: Sendable {}

/// Bound to its connection's event loop.
@available(*, unavailable)
extension HandshakeCompletionHandler: Sendable {}
