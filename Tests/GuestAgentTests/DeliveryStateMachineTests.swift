// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import GuestSpool
import Notifications
import RelayTesting
import Testing
import Timing

@testable import GuestAgent

@Suite struct DeliveryStateMachineTests {
    private let now = ContinuousClock.now
    private let published = Result<RPCReply, RPCCallError>.success(.accepted(.init(), .published))

    private func machine(window: Int = 4, entries: Int) -> DeliveryStateMachine {
        var machine = DeliveryStateMachine(
            window: window, backoff: Backoff(minimum: .seconds(1), maximum: .seconds(8)))
        machine.recordRead((1...entries).map { OutboxEntry(sequence: Int64($0), report: SampleReport.end()) })
        return machine
    }

    private func refused(_ code: RPCError.Code, retryAfter: Int? = nil) -> Result<RPCReply, RPCCallError> {
        .failure(.rejected(RPCError(code, "m", retryAfterMilliseconds: retryAfter)))
    }

    @Test("An outcome is sent once and removed when it is answered")
    func sendOnce() {
        var machine = self.machine(entries: 3)
        #expect(machine.remainingCapacity == 1)
        #expect(machine.cursor == 3)
        #expect(machine.takeDueOutcomes(now: self.now).map(\.sequence) == [1, 2, 3])
        #expect(machine.takeDueOutcomes(now: self.now) == [])
        for sequence in [2, 1, 3] as [Int64] {
            #expect(machine.recordAnswer(sequence, self.published, now: self.now) == .remove(sequence))
        }
        #expect(machine.recordAnswer(1, self.published, now: self.now) == .ignore)
        #expect(machine.isIdle)
        #expect(machine.remainingCapacity == 4)
    }

    @Test(
        "An accepted outcome is removed, whatever the disposition",
        arguments: [Disposition.published, .duplicate, .disabled])
    func anyDisposition(disposition: Disposition) {
        var machine = self.machine(entries: 1)
        _ = machine.takeDueOutcomes(now: self.now)
        #expect(machine.recordAnswer(1, .success(.accepted(.init(), disposition)), now: self.now) == .remove(1))
        #expect(machine.isIdle)
    }

    @Test("An outcome with a final rejection is set aside, and the next ones go on")
    func finalRejection() {
        var machine = self.machine(entries: 2)
        _ = machine.takeDueOutcomes(now: self.now)
        #expect(
            machine.recordAnswer(1, self.refused(.unknownEvent), now: self.now)
                == .setAside(1, reason: "m (unknown_event)"))
        #expect(machine.pauseEnd == nil)
        #expect(machine.recordAnswer(2, self.published, now: self.now) == .remove(2))
    }

    @Test("An unauthenticated guest disconnects once and keeps its outcomes in order")
    func unauthenticatedGuest() {
        var machine = self.machine(entries: 4)
        _ = machine.takeDueOutcomes(now: self.now)
        var actions: [DeliveryStateMachine.AnswerAction] = []
        for sequence in [3, 1, 2] as [Int64] {
            actions.append(
                machine.recordAnswer(sequence, self.refused(.unauthenticated, retryAfter: 5000), now: self.now))
        }
        // The rejection of one connection is reported once.
        #expect(
            actions == [.disconnect(reason: "m (unauthenticated)", requestedPause: .seconds(5)), .retry, .retry])
        machine.recordConnectionEnd()
        machine.recordConductorChange()
        #expect(machine.takeDueOutcomes(now: self.now).map(\.sequence) == [1, 2, 3, 4])
        #expect(
            machine.recordAnswer(1, self.refused(.unauthenticated, retryAfter: .max), now: self.now)
                == .disconnect(reason: "m (unauthenticated)", requestedPause: .seconds(300)))
        // A publication by another conductor meanwhile does not mean that the outcome is the cause.
        #expect(machine.recordAnswer(2, self.published, now: self.now) == .remove(2))
        #expect(machine.recordAnswer(3, self.refused(.unauthenticated), now: self.now) == .retry)
        // The final error of an older conductor is accepted as final.
        let final = RPCError.Code(number: -32001, reason: "unauthenticated", isRetryable: false)
        #expect(
            machine.recordAnswer(4, self.refused(final), now: self.now) == .setAside(4, reason: "m (unauthenticated)"))
    }

    @Test("Sending pauses for as long as a conductor asks, and the order is kept")
    func requestedPause() throws {
        var machine = self.machine(entries: 3)
        _ = machine.takeDueOutcomes(now: self.now)
        for sequence in [3, 1, 2] as [Int64] {
            #expect(
                machine.recordAnswer(sequence, self.refused(.brokerUnavailable, retryAfter: 5000), now: self.now)
                    == .retry)
        }
        let end = try #require(machine.pauseEnd)
        #expect(end >= self.now + .seconds(5))
        #expect(machine.nextDeadline(now: self.now) == end)
        #expect(machine.takeDueOutcomes(now: end - .milliseconds(1)) == [])
        #expect(machine.takeDueOutcomes(now: end).map(\.sequence) == [1, 2, 3])
    }

    @Test("The pause that a conductor asks for is limited to five minutes")
    func pauseLimit() throws {
        var machine = self.machine(entries: 1)
        _ = machine.takeDueOutcomes(now: self.now)
        _ = machine.recordAnswer(1, self.refused(.rateLimited, retryAfter: .max), now: self.now)
        #expect(try #require(machine.pauseEnd) <= self.now + .seconds(300))
        // A pause that one conductor asked for does not apply to the next.
        machine.recordConductorChange()
        #expect(machine.takeDueOutcomes(now: self.now).count == 1)
    }

    @Test("The third rejection in a row causes a failover")
    func failoverAfterRejections() {
        var machine = self.machine(entries: 1)
        var now = self.now
        var actions: [DeliveryStateMachine.AnswerAction] = []
        for _ in 1...4 {
            now = machine.pauseEnd ?? now
            _ = machine.takeDueOutcomes(now: now)
            actions.append(machine.recordAnswer(1, self.refused(.brokerUnavailable), now: now))
        }
        #expect(actions == [.retry, .retry, .failover, .retry])
    }

    @Test("The rejections of one burst count as one, however late they arrive")
    func rejectedBurst() throws {
        var machine = self.machine(entries: 4)
        _ = machine.takeDueOutcomes(now: self.now)
        var now = self.now
        for sequence in 1...4 {
            #expect(machine.recordAnswer(Int64(sequence), self.refused(.brokerUnavailable), now: now) == .retry)
            now += .seconds(20)
        }
    }

    @Test("An outcome that is rejected while others are published waits alone")
    func rejectedOutcomeWaits() throws {
        var machine = self.machine(window: 8, entries: 3)
        _ = machine.takeDueOutcomes(now: self.now)
        _ = machine.recordAnswer(1, self.published, now: self.now)
        _ = machine.recordAnswer(2, self.refused(.brokerUnavailable, retryAfter: 5000), now: self.now)
        #expect(machine.pauseEnd == nil)
        machine.recordRead([OutboxEntry(sequence: 4, report: SampleReport.end())])
        #expect(machine.takeDueOutcomes(now: self.now).map(\.sequence) == [4])
        #expect(try #require(machine.nextDeadline(now: self.now)) >= self.now + .seconds(5))
        #expect(machine.takeDueOutcomes(now: self.now + .seconds(9)).map(\.sequence) == [2])
    }

    @Test("A published outcome ends the pause that another outcome's rejection began")
    func successEndsPause() {
        var machine = self.machine(window: 8, entries: 2)
        _ = machine.takeDueOutcomes(now: self.now)
        _ = machine.recordAnswer(1, self.refused(.internal, retryAfter: 60_000), now: self.now)
        #expect(machine.pauseEnd != nil)
        _ = machine.recordAnswer(2, self.published, now: self.now)
        #expect(machine.pauseEnd == nil)
        #expect(machine.takeDueOutcomes(now: self.now + .seconds(59)) == [])
        #expect(machine.takeDueOutcomes(now: self.now + .seconds(60)).map(\.sequence) == [1])
    }

    @Test("An outcome that can never be published does not hold up others")
    func unpublishableOutcome() throws {
        var machine = self.machine(window: 8, entries: 1)
        var now = self.now
        _ = machine.takeDueOutcomes(now: now)
        _ = machine.recordAnswer(1, self.refused(.internal, retryAfter: 60_000), now: now)
        for sequence in 2...20 as ClosedRange<Int64> {
            now = try #require(machine.nextDeadline(now: now))
            #expect(machine.takeDueOutcomes(now: now).map(\.sequence) == [1])
            _ = machine.recordAnswer(1, self.refused(.internal, retryAfter: 60_000), now: now)
            machine.recordRead([OutboxEntry(sequence: sequence, report: SampleReport.end())])
            #expect(machine.takeDueOutcomes(now: now).map(\.sequence) == [sequence])
            _ = machine.recordAnswer(sequence, self.published, now: now)
        }
    }

    @Test("A guest that is rate limited pauses, even if an outcome in flight is published")
    func rateLimitedPause() {
        var machine = self.machine(window: 8, entries: 3)
        _ = machine.takeDueOutcomes(now: self.now)
        _ = machine.recordAnswer(1, self.published, now: self.now)
        _ = machine.recordAnswer(2, self.refused(.rateLimited, retryAfter: 2000), now: self.now)
        // An outcome that was in flight when the limit was reached does not end the pause.
        _ = machine.recordAnswer(3, self.published, now: self.now)
        #expect(machine.takeDueOutcomes(now: self.now + .milliseconds(1999)) == [])
        #expect(machine.takeDueOutcomes(now: self.now + .seconds(2)).map(\.sequence) == [2])
    }

    @Test("Outcomes of a lost connection are sent again without a pause")
    func lostConnection() {
        var machine = self.machine(entries: 2)
        _ = machine.takeDueOutcomes(now: self.now)
        #expect(machine.recordAnswer(2, .failure(.connectionLost("gone")), now: self.now) == .retry)
        #expect(machine.recordAnswer(1, .failure(.connectionLost("gone")), now: self.now) == .retry)
        #expect(machine.remainingCapacity == 2)
        #expect(machine.takeDueOutcomes(now: self.now).map(\.sequence) == [1, 2])
        machine.recordConnectionEnd()
        #expect(machine.recordAnswer(1, self.published, now: self.now) == .ignore)
        #expect(machine.takeDueOutcomes(now: self.now).map(\.sequence) == [1, 2])
    }
}

@Suite struct ConductorAddressTests {
    @Test(
        "A valid conductor address is parsed, and its port has a default",
        arguments: [
            ("conductor.example", "conductor.example:8790"), ("h:1", "h:1"), ("[::1]", "[::1]:8790"),
            ("[2001:db8::1]:99", "[2001:db8::1]:99"), ("192.0.2.1:65535", "192.0.2.1:65535"),
            ("[fe80::1%eth0]:1", "[fe80::1%eth0]:1"), ("0.0.0.0:1", "0.0.0.0:1"),
        ])
    func validAddresses(text: String, address: String) { #expect(ConductorAddress(text)?.description == address) }

    @Test(
        "An invalid conductor address is rejected",
        arguments: [
            "", ":1", "h:", "h:0", "h:65536", "h:x", "[::1", "[]:1", "[::1]x", "h:1:2", "a b:1", "é:1", "*", "*:1",
            "*.example:1",
            "[h]:1", "[127.0.0.1]", "[::1%]:1", "[::1]]:1", "::1", "::1:8790", "h:+1", "h:-1",
        ])
    func invalidAddresses(text: String) { #expect(ConductorAddress(text) == nil) }
}
