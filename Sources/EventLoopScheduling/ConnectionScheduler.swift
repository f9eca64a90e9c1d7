// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
package import NIOCore

/// A scheduler that gives the busy connections of an event loop their turns, one after the other.
///
/// An event loop runs all due tasks before it polls its sockets again. So there is a pause between two turns in which
/// no task is due; without it, a few guests that send thousands of requests at once would keep all others waiting.
/// Short work needs no turn.
package final class ConnectionScheduler: Sendable {
    /// The time that other connections have the event loop to themselves after each turn and the work that it has
    /// caused.
    package static let pause = TimeAmount.microseconds(100)

    /// Uses a turn; returns false when its connection has nothing left to do.
    package typealias Turn = @Sendable () -> Bool

    private let queues = NIOLockedValueBox<[ObjectIdentifier: TurnStateMachine<Turn>]>([:])

    /// Creates a scheduler. A server has one for all of its connections.
    package init() {}

    /// Takes a turn at once if none is due on the event loop.
    ///
    /// Call it on the event loop.
    ///
    /// - Returns: whether the caller has the turn; if not, it should ``wait(on:_:)``.
    package func takeNow(on eventLoop: any EventLoop) -> Bool {
        let isNow = self.queues.withLockedValue { $0[ObjectIdentifier(eventLoop), default: .init()].takeNow() }
        if isNow { self.scheduleTurn(eventLoop) }
        return isNow
    }

    /// Adds a turn to the event loop's queue, and calls it there when it comes up.
    package func wait(on eventLoop: any EventLoop, _ turn: @escaping Turn) {
        let isFirst = self.queues.withLockedValue { $0[ObjectIdentifier(eventLoop), default: .init()].wait(turn) }
        if isFirst { self.scheduleTurn(eventLoop) }
    }

    private func scheduleTurn(_ eventLoop: any EventLoop) {
        // After the answers of this turn: the pause begins when they are written.
        eventLoop.execute {
            eventLoop.scheduleTask(in: Self.pause) { self.runTurn(eventLoop) }
        }
    }

    private func runTurn(_ eventLoop: any EventLoop) {
        while true {
            let turn = self.queues.withLockedValue { queues -> Turn? in
                let turn = queues[ObjectIdentifier(eventLoop)]?.next()
                if turn == nil { queues[ObjectIdentifier(eventLoop)] = nil }
                return turn
            }
            guard let turn else { return }
            // A connection that has ended meanwhile does not delay the others.
            guard !turn() else { return self.scheduleTurn(eventLoop) }
        }
    }
}
