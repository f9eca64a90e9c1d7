// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import Notifications
import Notifier
import RelayTesting
import TLSChannel
import Testing

/// Answers to a guest that sends an outcome again.
@Suite(.timeLimit(.minutes(2))) struct DuplicateTests {
    private static func published(_ id: Int, _ disposition: Disposition = .published) -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"result":{"message_id":"\#(Self.messageID)","disposition":"\#(disposition)"}}"#
    }
    private static let messageID = MessageID()
    private static let other = MessageID()
    private let ping = #"{"jsonrpc":"2.0","id":"after","method":"ping"}"#

    private func line(
        _ id: Int, dbname: String = "shop", member: String = "", instance: String = "inst-1"
    ) -> String {
        """
        {"jsonrpc":"2.0","id":\(id),"method":"notify_end","params":{"context":{"operation":"database_create",\
        "request_id":"req-1","tenant_id":"tenant-1","client_ip":"198.51.100.7","payload":{"instance_id":"\(instance)",\
        "dbname":"\(dbname)"}},"message_id":"\(Self.messageID)"\(member)}}
        """
    }

    private func expect(_ answer: String, to line: String, _ guest: inout RawGuest) async throws {
        let heard = try await guest.call(line)
        #expect(heard == answer)
    }

    @Test("An outcome that is sent again is answered as a duplicate, and not published again")
    func repeatedOutcome() async throws {
        let driver = TestDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            // Over another connection too: the guest counts, not the connection.
            for id in 1...2 {
                try await RawGuest.with(conductor) { guest in
                    let expected = id == 1 ? Disposition.published : .duplicate
                    try await self.expect(Self.published(id, expected), to: self.line(id), &guest)
                    // Another timestamp does not make it another outcome: a guest may leave it to the conductor.
                    let late = self.line(id, member: #","timestamp":"2015-06-28 05:54:57.725572""#)
                    try await self.expect(Self.published(id, .duplicate), to: late, &guest)
                }
            }
            #expect(conductor.counters.published == 1 && conductor.counters.duplicate == 3)
        }
        #expect(driver.notifications.map(\.messageID) == [Self.messageID])
    }

    @Test(
        "An outcome that repeats one in flight is answered with the result of the first",
        arguments: [nil, DriverError(.unavailable, driver: "held", reason: "away")])
    func repeatInFlight(failure: DriverError?) async throws {
        let driver = HeldDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            try await RawGuest.with(conductor) { first in
                try await first.send(line: self.line(1))
                await driver.received(1)
                // The guest abandoned the connection and opened another.
                try await RawGuest.with(conductor) { second in
                    try await second.send(line: self.line(2))
                    #expect(try await second.call(self.ping).contains("after"))
                    #expect(conductor.counters.inFlight == 2)
                    driver.release(failure.map { .failure($0) } ?? .success(()))
                    let answers = [try await first.line(), try await second.line()]
                    if failure == nil {
                        #expect(answers == [Self.published(1), Self.published(2, .duplicate)])
                        #expect(conductor.counters.published == 1 && conductor.counters.duplicate == 1)
                    } else {
                        for answer in answers { #expect(answer?.contains(#""broker_unavailable""#) == true) }
                        #expect(conductor.counters.rejected == ["broker_unavailable": 2])
                        // A failed outcome is not remembered.
                        try await second.send(line: self.line(3))
                        await driver.received(2)
                        driver.release()
                        let answer = try await second.line()
                        #expect(answer == Self.published(3))
                    }
                    #expect(conductor.counters.isBalanced && conductor.counters.inFlight == 0)
                }
            }
        }
    }

    @Test("An outcome is published although its connection closed, and its repeat is a duplicate")
    func closedConnection() async throws {
        let driver = HeldDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            try await RawGuest.with(conductor) { guest in
                try await guest.send(line: self.line(1))
                await driver.received(1)
            }
            driver.release()
            #expect(conductor.counters.published == 1 && conductor.counters.inFlight == 0)
            try await RawGuest.with(conductor) { guest in
                try await self.expect(Self.published(2, .duplicate), to: self.line(2), &guest)
            }
        }
    }

    @Test("Another outcome under the same message id is rejected")
    func conflictingOutcome() async throws {
        let driver = HeldDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            try await RawGuest.with(conductor) { guest in
                try await guest.send(line: self.line(1))
                await driver.received(1)
                for id in 2...3 {
                    let answer = try await guest.call(self.line(id, dbname: "stock"))
                    #expect(answer.contains(#""id":\#(id),"error":{"code":-32602"#), "\(answer)")
                    #expect(answer.contains(#""retryable":false,"field":"params.message_id""#), "\(answer)")
                    guard id == 2 else { continue }
                    driver.release()
                    let first = try await guest.line()
                    #expect(first == Self.published(1))
                }
                try await self.expect(Self.published(4, .duplicate), to: self.line(4), &guest)
                #expect(conductor.counters.rejected == ["invalid_params": 2])
            }
        }
    }

    @Test("A guest that uses another guest's message id does not affect that guest")
    func forgedMessageID() async throws {
        let (certificates, driver) = (try TestCertificates(), TestDriver())
        try certificates.write(
            "forger", TestCertificates.guest(of: certificates.authority, instance: "inst-2"))
        try await withConductor(Notifier(drivers: [driver]), certificates: certificates) { conductor in
            try await RawGuest.with(conductor, certificate: "forger") { forger in
                try await self.expect(
                    Self.published(1), to: self.line(1, dbname: "forged", instance: "inst-2"), &forger)
            }
            try await RawGuest.with(conductor) { guest in
                try await self.expect(Self.published(2), to: self.line(2), &guest)
                try await self.expect(Self.published(3, .duplicate), to: self.line(3), &guest)
            }
        }
        #expect(driver.notifications.count == 2)
    }

    @Test("An outcome without a message id is never a duplicate")
    func missingMessageID() async throws {
        let driver = TestDriver()
        let line = self.line(1).replacing(#","message_id":"\#(Self.messageID)""#, with: "")
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            try await RawGuest.with(conductor) { guest in
                for _ in 1...2 {
                    let answer = try await guest.call(line)
                    #expect(answer.contains(#""disposition":"published""#))
                }
            }
        }
        #expect(driver.notifications.count == 2)
    }

    @Test(
        "The conductor remembers only as many message ids as its limit",
        arguments: [(0, ["published", "published", "published"]), (1, ["duplicate", "published", "published"])])
    func rememberedIDLimit(limit: Int, dispositions: [String]) async throws {
        try await withConductor(Notifier(drivers: [TestDriver()]), rememberedIDs: limit) { conductor in
            try await RawGuest.with(conductor) { guest in
                try await self.expect(Self.published(1), to: self.line(1), &guest)
                var answers = [try await guest.call(self.line(2))]
                answers.append(try await guest.call(SampleReport.line(id: 3, messageID: Self.other)))
                answers.append(try await guest.call(self.line(4)))
                for (answer, disposition) in zip(answers, dispositions) {
                    #expect(answer.contains(#""disposition":"\#(disposition)""#), "\(answer)")
                }
            }
        }
    }
}
