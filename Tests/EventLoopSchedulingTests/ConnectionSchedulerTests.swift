// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import Testing

@testable import EventLoopScheduling

@Suite struct ConnectionSchedulerTests {
    @Test func aTurnIsArrangedOnceForAllWhoWait() {
        var queue = TurnStateMachine<Int>()
        #expect(queue.wait(1) == true)
        #expect(queue.wait(2) == false)
        #expect(queue.next() == 1)
        // The next is due, for the second.
        #expect(queue.wait(1) == false)
        #expect(queue.next() == 2)
        #expect(queue.next() == 1)
        #expect(queue.next() == nil)
        #expect(queue.wait(3) == true)
    }

    @Test func whoComesFirstDoesNotWait() {
        var queue = TurnStateMachine<Int>()
        #expect(queue.takeNow() == true)
        // Not before the pause is over.
        #expect(queue.takeNow() == false)
        #expect(queue.wait(1) == false)
        #expect(queue.next() == 1)
        #expect(queue.takeNow() == false)
        #expect(queue.next() == nil)
        #expect(queue.takeNow() == true)
    }

    @Test func afterATurnThatWasTakenAtOnceIsAPauseToo() throws {
        let eventLoop = EmbeddedEventLoop()
        let turns = ConnectionScheduler()
        let taken = NIOLockedValueBox(0)
        #expect(turns.takeNow(on: eventLoop))
        #expect(!turns.takeNow(on: eventLoop))
        turns.wait(on: eventLoop) {
            taken.withLockedValue { $0 += 1 }
            return true
        }
        eventLoop.run()
        #expect(taken.withLockedValue { $0 } == 0)
        eventLoop.advanceTime(by: ConnectionScheduler.pause)
        #expect(taken.withLockedValue { $0 } == 1)
        #expect(!turns.takeNow(on: eventLoop))
        eventLoop.advanceTime(by: ConnectionScheduler.pause)
        #expect(turns.takeNow(on: eventLoop))
        try eventLoop.syncShutdownGracefully()
    }

    /// However many wait, there is a pause after each turn, in which an event loop looks at its sockets.
    @Test func thereIsAPauseBetweenTwoTurns() throws {
        let eventLoop = EmbeddedEventLoop()
        let turns = ConnectionScheduler()
        let taken = NIOLockedValueBox<[Int]>([])
        for number in 1...4 {
            turns.wait(on: eventLoop) {
                taken.withLockedValue { $0.append(number) }
                // The third's connection is gone: it makes nobody wait.
                return number != 3
            }
        }
        for expected in [[], [1], [1, 2], [1, 2, 3, 4]] {
            eventLoop.run()
            #expect(taken.withLockedValue { $0 } == expected)
            eventLoop.advanceTime(by: ConnectionScheduler.pause)
        }
        // Who comes later does not wait for ever.
        turns.wait(on: eventLoop) {
            taken.withLockedValue { $0.append(5) }
            return true
        }
        eventLoop.advanceTime(by: ConnectionScheduler.pause)
        #expect(taken.withLockedValue { $0.last } == 5)
        try eventLoop.syncShutdownGracefully()
    }
}
