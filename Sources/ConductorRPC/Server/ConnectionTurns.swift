import NIOConcurrencyHelpers
import NIOCore

/// Lets the connections of an event loop that have more lying here than they may take at a time go on one after the other.
///
/// An event loop runs all that is due before it looks at its sockets again. So between two turns is a pause in which nothing is
/// due: else a few guests that send thousands of requests at once would keep all others waiting.
package final class ConnectionTurns: Sendable {
    /// How long others have the event loop to themselves, once what the last turn has left to do is done.
    static let pause = TimeAmount.microseconds(100)

    /// Takes a turn; false when there was nothing to take any more.
    typealias Turn = @Sendable () -> Bool

    private let queues = NIOLockedValueBox<[ObjectIdentifier: TurnQueue<Turn>]>([:])

    /// Nobody waits. A server has one for all of its connections.
    package init() {}

    /// Takes a turn on the event loop when it is its turn.
    func wait(on eventLoop: any EventLoop, _ turn: @escaping Turn) {
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
