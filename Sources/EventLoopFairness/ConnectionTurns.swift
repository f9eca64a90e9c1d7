import NIOConcurrencyHelpers
package import NIOCore

/// Lets the connections of an event loop that have much to do go on one after the other.
///
/// An event loop runs all that is due before it looks at its sockets again. So between two turns is a pause in which nothing is
/// due: else a few guests that send thousands of requests at once would keep all others
/// waiting. What is quickly done needs no turn.
package final class ConnectionTurns: Sendable {
    /// How long others have the event loop to themselves, once what the last turn has left to do is done.
    package static let pause = TimeAmount.microseconds(100)

    /// Takes a turn; false when there was nothing to take any more.
    package typealias Turn = @Sendable () -> Bool

    private let queues = NIOLockedValueBox<[ObjectIdentifier: TurnQueue<Turn>]>([:])

    /// Nobody waits. A server has one for all of its connections.
    package init() {}

    /// Takes a turn at once if none is due on the event loop.
    ///
    /// Called on the event loop.
    ///
    /// - Returns: whether it is the caller's turn; if not, it should ``wait(on:_:)``.
    package func takeNow(on eventLoop: any EventLoop) -> Bool {
        let isNow = self.queues.withLockedValue { $0[ObjectIdentifier(eventLoop), default: .init()].takeNow() }
        if isNow { self.arrange(eventLoop) }
        return isNow
    }

    /// Takes a turn on the event loop when it is its turn.
    package func wait(on eventLoop: any EventLoop, _ turn: @escaping Turn) {
        let isFirst = self.queues.withLockedValue { $0[ObjectIdentifier(eventLoop), default: .init()].wait(turn) }
        if isFirst { self.arrange(eventLoop) }
    }

    private func arrange(_ eventLoop: any EventLoop) {
        // Behind the answers to what was taken: the pause begins when they are written.
        eventLoop.execute {
            eventLoop.scheduleTask(in: Self.pause) { self.give(eventLoop) }
        }
    }

    private func give(_ eventLoop: any EventLoop) {
        while true {
            let turn = self.queues.withLockedValue { queues -> Turn? in
                let turn = queues[ObjectIdentifier(eventLoop)]?.next()
                if turn == nil { queues[ObjectIdentifier(eventLoop)] = nil }
                return turn
            }
            guard let turn else { return }
            // Whose connection has ended meanwhile makes no one wait.
            guard !turn() else { return self.arrange(eventLoop) }
        }
    }
}
