// SPDX-License-Identifier: Apache-2.0

import ConductorService
import Notifications
import Testing

/// Reservation of places for audit lines, and the order in which lines are written.
@Suite struct AuditBacklogStateMachineTests {
    private func record(_ guest: String) -> AuditRecord {
        AuditRecord(
            messageID: MessageID(), eventType: "e", guest: guest, certificateSerial: "01", peer: "192.0.2.9:5",
            isSigned: false, disposition: .published)
    }

    @Test("A place is occupied from its reservation until its line is written")
    func reservedPlace() {
        var backlog = AuditBacklogStateMachine(capacity: 2)
        let reserved = (1...3).map { _ in backlog.reserve() }
        #expect(reserved == [true, true, false])
        let starts = backlog.append(self.record("a"))
        #expect(starts)
        let taken = backlog.take(10).map(\.guest)
        #expect(taken == ["a"])
        // Taken, but not written yet: the log's reader may be slow.
        let whileItIsWritten = backlog.reserve()
        #expect(!whileItIsWritten)
        backlog.written(1)
        let afterwards = backlog.reserve()
        #expect(afterwards)
        backlog.release()
        #expect(backlog.reserved == 1)
    }

    @Test("One writer takes all lines in their order")
    func singleWriter() {
        var backlog = AuditBacklogStateMachine(capacity: 10)
        for _ in 0..<4 { _ = backlog.reserve() }
        #expect(backlog.isIdle)
        let starts = ["a", "b"].map { backlog.append(self.record($0)) }
        #expect(starts == [true, false])
        let first = [backlog.take(1), backlog.take(1)].map { $0.map(\.guest) }
        #expect(first == [["a"], ["b"]])
        // While these are being written no other writer starts.
        let another = backlog.append(self.record("c"))
        #expect(!another && !backlog.isIdle)
        let rest = [backlog.take(10), backlog.take(10)].map { $0.map(\.guest) }
        #expect(rest == [["c"], []])
        #expect(backlog.isIdle)
        let again = backlog.append(self.record("d"))
        #expect(again)
    }
}
