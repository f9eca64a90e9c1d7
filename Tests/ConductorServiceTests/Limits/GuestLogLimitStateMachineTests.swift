// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import LogTesting
import Logging
import NIOCore
import Testing

@testable import ConductorService

/// Log limits for the events that guests can cause as often as they like.
@Suite struct GuestLogLimitStateMachineTests {
    private func guest(_ number: Int) -> PeerIdentity { PeerIdentity(names: ["\(number)"]) }

    @Test("An event of a guest is logged once a minute, with the number of events before it")
    func oncePerMinute() {
        var notices = GuestLogLimitStateMachine()
        let start = NIODeadline.uptimeNanoseconds(1)
        var logged: [Int?] = [notices.record(self.guest(1), now: start)?.before]
        for second in [1, 2, 59] as [Int64] {
            logged.append(notices.record(self.guest(1), now: start + .seconds(second))?.before)
        }
        logged.append(notices.record(self.guest(2), now: start + .seconds(59))?.before)
        logged.append(notices.record(self.guest(1), now: start + .seconds(60))?.before)
        logged.append(notices.record(self.guest(1), now: start + .seconds(120))?.before)
        #expect(logged == [0, nil, nil, nil, 0, 3, 0])
    }

    @Test("The next line counts the events that had no place in the log")
    func eventsWithoutPlace() {
        var notices = GuestLogLimitStateMachine()
        let start = NIODeadline.uptimeNanoseconds(1)
        var asked = 0
        var logged: [Int?] = []
        for (second, hasPlace) in [(0, false), (0, false), (0, true), (1, true), (60, false), (61, true)]
            as [(Int64, Bool)]
        {
            let before = notices.record(self.guest(1), now: start + .seconds(second)) {
                asked += 1
                return hasPlace
            }
            logged.append(before?.before)
        }
        #expect(logged == [nil, nil, 2, nil, nil, 2])
        // A place is requested only when a line is due.
        #expect(asked == 5)
    }

    @Test("Many guests fill neither the memory nor the log")
    func manyGuests() {
        var notices = GuestLogLimitStateMachine()
        let start = NIODeadline.uptimeNanoseconds(1)
        var logged = 0
        for number in 0..<(3 * GuestLogLimitStateMachine.limit)
        where notices.record(self.guest(number), now: start) != nil {
            logged += 1
        }
        #expect(logged == GuestLogLimitStateMachine.limit)
        // The minute of the logged guests is over. The next line counts the events of the guests that were not logged.
        #expect(
            notices.record(self.guest(-1), now: start + .seconds(60))
                == .init(before: 0, beforeOfOthers: 2 * GuestLogLimitStateMachine.limit))
        #expect(notices.record(self.guest(-2), now: start + .seconds(60)) == .init())
    }

    @Test("The events of a guest are logged when another guest replaces it")
    func replacedGuest() {
        var notices = GuestLogLimitStateMachine()
        let start = NIODeadline.uptimeNanoseconds(1)
        for number in 0..<GuestLogLimitStateMachine.limit {
            for _ in 0..<3 { _ = notices.record(self.guest(number), now: start) }
        }
        let later = start + .seconds(60)
        // The line that is due has no place: the next line has the number.
        #expect(notices.record(self.guest(-1), now: later) { false } == nil)
        #expect(
            notices.record(self.guest(-2), now: later)
                == .init(before: 0, beforeOfOthers: 2 * GuestLogLimitStateMachine.limit))
        #expect(notices.record(self.guest(-1), now: later) == .init(before: 1, beforeOfOthers: 0))
    }

    @Test("The line of a rejection counts the rejections of forgotten guests")
    func rejectionsOfForgottenGuests() {
        let log = LogRecorder()
        let rejections = RejectionLog(GuestAuthorization(), logger: log.logger)
        let start = NIODeadline.uptimeNanoseconds(1)
        func refuse(_ number: Int, now: NIODeadline) {
            let peer = RPCPeer(
                certificate: nil, identity: self.guest(number), remoteAddress: "192.0.2.9:5",
                localAddress: "192.0.2.1:8790")
            rejections.log(RPCError(.notPermitted, "no"), peer, now: now)
        }
        for number in 0..<GuestLogLimitStateMachine.limit { refuse(number, now: start) }
        for _ in 0..<5 { refuse(7, now: start) }
        refuse(-1, now: start + .seconds(60))
        let warnings = log.entries.filter { $0.level == .warning }
        #expect(warnings.count == GuestLogLimitStateMachine.limit + 1)
        #expect(warnings.last?.metadata["before_of_others"] == "5")
    }
}
