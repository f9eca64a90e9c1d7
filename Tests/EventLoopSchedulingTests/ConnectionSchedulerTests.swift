// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import Testing

@testable import EventLoopScheduling

@Suite struct ConnectionSchedulerTests {
    @Test("A turn is scheduled once, for the first connection that waits")
    func singleScheduling() {
        var queue = TurnStateMachine<Int>()
        #expect(queue.wait(1) == true)
        #expect(queue.wait(2) == false)
        #expect(queue.next() == 1)
        // The next turn is scheduled, for the second connection.
        #expect(queue.wait(1) == false)
        #expect(queue.next() == 2)
        #expect(queue.next() == 1)
        #expect(queue.next() == nil)
        #expect(queue.wait(3) == true)
    }

    @Test("The first connection has its turn at once; the next waits until the pause is over")
    func firstTurn() {
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

    @Test("A turn that is taken at once is followed by a pause")
    func pauseAfterImmediateTurn() throws {
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

    /// However many connections wait, the event loop checks its sockets in a pause after each turn.
    @Test("There is a pause between two turns of open connections")
    func pauseBetweenTurns() throws {
        let eventLoop = EmbeddedEventLoop()
        let turns = ConnectionScheduler()
        let taken = NIOLockedValueBox<[Int]>([])
        for number in 1...4 {
            turns.wait(on: eventLoop) {
                taken.withLockedValue { $0.append(number) }
                // The third connection is closed, so the next turn follows without a pause.
                return number != 3
            }
        }
        for expected in [[], [1], [1, 2], [1, 2, 3, 4]] {
            eventLoop.run()
            #expect(taken.withLockedValue { $0 } == expected)
            eventLoop.advanceTime(by: ConnectionScheduler.pause)
        }
        // A later connection gets its turn as well.
        turns.wait(on: eventLoop) {
            taken.withLockedValue { $0.append(5) }
            return true
        }
        eventLoop.advanceTime(by: ConnectionScheduler.pause)
        #expect(taken.withLockedValue { $0.last } == 5)
        try eventLoop.syncShutdownGracefully()
    }
}
