// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import LogTesting
import Logging
import Notifications
import Testing

@testable import GuestSpool

@Suite("Copied, restored and foreign spools")
struct SpoolOriginTests {
    private let machine = GuestMachine(machineID: "machine-1", bootID: "boot-1", productUUID: nil)

    private func open(_ fixture: SpoolFixture, on machine: GuestMachine? = nil, as names: [String] = ["instance-1"])
        async throws -> Spool
    {
        let spool = try await Spool.open(
            fixture.directory, machine: machine ?? self.machine, logger: fixture.log.logger)
        spool.setGuest(names)
        return spool
    }

    /// Creates a spool with a waiting outcome and a running operation, as a killed agent leaves it.
    private func leave(_ fixture: SpoolFixture, as names: [String] = ["instance-1"]) async throws
        -> (waiting: MessageID, running: MessageID)
    {
        let spool = try await self.open(fixture, as: names)
        let waiting = try await fixture.run(spool).messageID
        let running = try await fixture.begin(spool)
        try await spool.close()
        return (waiting, running)
    }

    private func copy(_ fixture: SpoolFixture) throws {
        try fixture.waitForClockTick()
        let copy = "\(fixture.directory).copy"
        try FileManager.default.copyItem(atPath: fixture.directory, toPath: copy)
        try FileManager.default.removeItem(atPath: fixture.directory)
        try FileManager.default.moveItem(atPath: copy, toPath: fixture.directory)
    }

    private func setAside(_ fixture: SpoolFixture) async throws -> [SpoolOutcome] {
        try await SpoolInspection(fixture.directory).outcomes(.setAside, limit: 10)
    }

    @Test("A copy is detected by the machine, the virtual machine or the file's creation time")
    func copyReasons() {
        let uuid = "4c4c4544-0042-3510-8052-b4c04f333632"
        let other = "4c4c4544-0042-3510-8052-b4c04f333633"
        func reason(
            _ machineID: String?, _ productUUID: String?, _ made: String?, recorded: String? = uuid
        ) -> String? {
            let then = GuestMachine(machineID: "m", bootID: "b", productUUID: recorded.flatMap { ProductUUID($0) })
            // A machine that starts again, even after a power cut, has another boot id and is the same machine.
            let now = GuestMachine(
                machineID: machineID, bootID: "other", productUUID: productUUID.flatMap { ProductUUID($0) })
            return SpoolOrigin(machine: then, fileMade: "1.5").copyReason(on: now, fileMade: made)
        }
        #expect(reason("m", uuid, "1.5") == nil)
        // A value that this user may not read, or that this file system does not provide, proves nothing.
        #expect(reason(nil, nil, nil) == nil)
        #expect(reason("n", nil, "1.5")?.contains("another machine") == true)
        #expect(reason("n", uuid, "1.5", recorded: nil)?.contains("another machine") == true)
        // An image contains its machine id.
        #expect(reason("m", other, "1.5")?.contains("another virtual machine") == true)
        // The same virtual machine has a new machine id, as at an image's first start.
        #expect(reason("n", uuid, "1.5") == nil)
        #expect(reason("n", uuid, "1.6")?.contains("copy") == true)
        #expect(reason("m", uuid, "1.6")?.contains("copy") == true)
        #expect(SpoolOrigin().copyReason(on: self.machine, fileMade: "1.5") == nil)
    }

    @Test("A machine's UUID matches regardless of case and byte order; placeholders are ignored")
    func productUUIDs() throws {
        let uuid = try #require(ProductUUID("4c4c4544-0042-3510-8052-b4c04f333632"))
        for same in ["4C4C4544-0042-3510-8052-B4C04F333632", "44454c4c-4200-1035-8052-b4c04f333632"] {
            let same = try #require(ProductUUID(same))
            #expect(uuid.isSame(as: same) && same.isSame(as: uuid))
        }
        for other in ["4c4c4544-0042-3510-8052-b4c04f333633", "44454c4c-0042-3510-8052-b4c04f333632"] {
            #expect(try !uuid.isSame(as: #require(ProductUUID(other))))
        }
        for text in [
            "", "Not Settable", "00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
            "03000200-0400-0500-0006-000700080009", "00020003-0004-0005-0006-000700080009",
        ] {
            #expect(ProductUUID(text) == nil)
        }
    }

    @Test("A renewed certificate that still names the guest belongs to the same guest")
    func renewedCertificate() {
        let origin = SpoolOrigin(guest: "instance-1")
        #expect(origin.otherGuestReason(["instance-1", "spiffe://new/tenant/t/instance/instance-1"]) == nil)
        #expect(origin.otherGuestReason(["spiffe://x/instance/instance-1", "instance-1"]) == nil)
        #expect(origin.otherGuestReason([]) == nil && SpoolOrigin().otherGuestReason(["instance-2"]) == nil)
        #expect(origin.otherGuestReason(["instance-2", "host"])?.contains("instance-1") == true)
    }

    @Test("A crash is reported as an interruption, also after a reboot and under a new host name")
    func crashedOperation() async throws {
        try await SpoolFixture.with { fixture in
            let (waiting, running) = try await self.leave(fixture)
            var restarted = self.machine
            restarted.bootID = "boot-2"
            let spool = try await self.open(fixture, on: restarted, as: ["instance-1", "renamed-host"])
            #expect(try await fixture.messageIDs(spool) == [waiting, running])
            #expect(try await spool.counts().setAside == 0)
            try await spool.close()
        }
    }

    @Test("A running operation of a copied spool is set aside and not reported as interrupted")
    func copiedSpool() async throws {
        try await SpoolFixture.with { fixture in
            let (waiting, running) = try await self.leave(fixture)
            try self.copy(fixture)
            let spool = try await self.open(fixture)
            #expect(try await fixture.messageIDs(spool) == [waiting])
            let counts = try await spool.counts()
            #expect(counts.setAside == 1 && counts.isBalanced && counts.running == 0)
            let aside = try await self.setAside(fixture)
            #expect(aside.map(\.messageID) == [running.description])
            #expect(aside.first?.reason?.contains("copy") == true)
            #expect(fixture.log.entries.contains { $0.level == .error && $0.message.contains("set aside") })
            // The copy is now recorded as the original.
            let next = try await fixture.begin(spool)
            try await spool.close()
            let again = try await self.open(fixture)
            #expect(try await fixture.messageIDs(again) == [waiting, next])
            // A retry of all skips it. An operator who knows that it has not ended names it, and so has it reported.
            let all = try await SetAsideOutcomes(fixture.directory).retryAll(aside.map(\.sequence))
            #expect((all.count, all.copied) == (0, 1))
            #expect(try await fixture.messageIDs(again) == [waiting, next])
            #expect(try await SetAsideOutcomes(fixture.directory).retry(aside.map(\.sequence)) == 1)
            #expect(try await fixture.messageIDs(again) == [waiting, next, running])
            try await again.close()
        }
    }

    @Test("A running operation of a spool from another machine is not reported as interrupted")
    func clonedMachine() async throws {
        try await SpoolFixture.with { fixture in
            let (waiting, running) = try await self.leave(fixture)
            let clone = GuestMachine(machineID: "machine-2", bootID: "boot-2", productUUID: nil)
            let spool = try await self.open(fixture, on: clone)
            #expect(try await fixture.messageIDs(spool) == [waiting])
            let aside = try await self.setAside(fixture)
            #expect(aside.map(\.messageID) == [running.description])
            #expect(aside.first?.reason?.contains("machine-1") == true)
            try await spool.close()
        }
    }

    @Test("Another guest's outcomes are set aside with its name, and a retry does not put them back")
    func anotherGuest() async throws {
        try await SpoolFixture.with { fixture in
            let (waiting, running) = try await self.leave(fixture)
            // The unchanged disk of a virtual machine under another certificate: nothing else shows the difference.
            let spool = try await self.open(fixture, as: ["instance-2"])
            let own = try await fixture.run(spool).messageID
            #expect(try await fixture.messageIDs(spool) == [own])
            let counts = try await spool.counts()
            #expect(counts.setAside == 2 && counts.waiting == 1 && counts.isBalanced)
            let aside = try await self.setAside(fixture)
            #expect(aside.map(\.messageID) == [waiting, running].map(\.description))
            #expect(aside.allSatisfy { $0.reason?.contains("instance-1") == true })
            #expect(try await SetAsideOutcomes(fixture.directory).retry(aside.map(\.sequence)) == 0)
            #expect(try await fixture.messageIDs(spool) == [own])
            #expect(try await SetAsideOutcomes(fixture.directory).export(aside.map(\.sequence)) == 2)
            #expect(try await spool.counts().isBalanced)
            try await spool.close()
            let again = try await self.open(fixture, as: ["instance-2"])
            #expect(try await fixture.messageIDs(again) == [own])
            try await again.close()
        }
    }

    @Test("A spool of an earlier version, without an origin, is taken over unchanged")
    func withoutOrigin() async throws {
        try await SpoolFixture.with { fixture in
            let (waiting, running) = try await self.leave(fixture)
            try fixture.change(
                """
                DROP TABLE origin; ALTER TABLE set_aside DROP COLUMN guest; ALTER TABLE set_aside DROP COLUMN is_copied;
                DELETE FROM grdb_migrations WHERE identifier IN ('3', '4', '5')
                """)
            try self.copy(fixture)
            let spool = try await self.open(fixture, as: ["instance-2"])
            #expect(try await fixture.messageIDs(spool) == [waiting, running])
            try await spool.close()
        }
    }

    @Test("A repaired spool still belongs to its guest and is not taken for a copy")
    func repairedSpool() async throws {
        try await SpoolFixture.with { fixture in
            let (waiting, running) = try await self.leave(fixture)
            try fixture.change("DELETE FROM tally")
            let spool = try await self.open(fixture)
            #expect(fixture.damages.count == 1)
            #expect(try await Set(fixture.messageIDs(spool)) == [waiting, running])
            try await spool.close()
            let stranger = try await self.open(fixture, as: ["instance-2"])
            #expect(try await fixture.messageIDs(stranger).isEmpty)
            #expect(try await stranger.counts().setAside == 2)
            try await stranger.close()
        }
    }

    @Test("A retry of all skips outcomes of a copy that version 3 set aside, also after damage")
    func copiedBeforeVersion4() async throws {
        try await SpoolFixture.with { fixture in
            let (_, running) = try await self.leave(fixture)
            try self.copy(fixture)
            try await self.open(fixture).close()
            try fixture.change(
                """
                ALTER TABLE set_aside DROP COLUMN is_copied; DELETE FROM grdb_migrations WHERE identifier = '4'
                """)
            try await self.open(fixture).close()
            for damages in 0..<2 {
                let aside = try await self.setAside(fixture)
                #expect(aside.map(\.messageID) == [running.description] && fixture.damages.count == damages)
                let all = try await SetAsideOutcomes(fixture.directory).retryAll(aside.map(\.sequence))
                #expect((all.count, all.copied) == (0, 1))
                try fixture.change("DELETE FROM tally")
                try await self.open(fixture).close()
            }
        }
    }

    @Test("An operation begins only after the spool's origin has been stored")
    func originNotStored() async throws {
        try await SpoolFixture.with { fixture in
            let (waiting, running) = try await self.leave(fixture)
            try fixture.change(
                "CREATE TRIGGER refuse BEFORE INSERT ON origin BEGIN SELECT RAISE(ABORT, 'no'); END")
            let clone = GuestMachine(machineID: "machine-2", bootID: "boot-2", productUUID: nil)
            let spool = try await self.open(fixture, on: clone)
            #expect(try await fixture.messageIDs(spool) == [waiting])
            await #expect(throws: OutboxError.self) { _ = try await fixture.begin(spool) }
            #expect(try await spool.counts().running == 0)
            try fixture.change("DROP TRIGGER refuse")
            let next = try await fixture.begin(spool)
            try await spool.close()
            let again = try await self.open(fixture, on: clone)
            #expect(try await fixture.messageIDs(again) == [waiting, next])
            #expect(try await self.setAside(fixture).map(\.messageID) == [running.description])
            try await again.close()
        }
    }

    @Test("A spool that is damaged before its origin is stored is not taken for a copy")
    func damagedBeforeOrigin() async throws {
        try await SpoolFixture.with { fixture in
            let (waiting, running) = try await self.leave(fixture)
            try fixture.change(
                "CREATE TRIGGER refuse BEFORE INSERT ON origin BEGIN SELECT RAISE(ABORT, 'no'); END")
            var restarted = self.machine
            restarted.bootID = "boot-2"
            let spool = try await self.open(fixture, on: restarted)
            #expect(try await fixture.messageIDs(spool) == [waiting, running])
            try fixture.waitForClockTick()
            try fixture.change("DELETE FROM tally")
            let next = try await fixture.begin(spool)
            #expect(fixture.damages.count == 1)
            try await spool.close()
            let again = try await self.open(fixture, on: restarted)
            #expect(try await fixture.messageIDs(again) == [waiting, running, next])
            try await again.close()
        }
    }

    @Test("A change to another guest's certificate sets waiting outcomes aside, but not new ones")
    func changedCertificate() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await self.open(fixture)
            let before = try await fixture.run(spool).messageID
            #expect(try await fixture.messageIDs(spool) == [before])
            // First a renewal.
            spool.setGuest(["instance-1", "another-host"])
            #expect(try await fixture.messageIDs(spool) == [before])
            spool.setGuest(["instance-2"])
            #expect(try await fixture.messageIDs(spool).isEmpty)
            let after = try await fixture.run(spool).messageID
            #expect(try await fixture.messageIDs(spool) == [after])
            #expect(try await self.setAside(fixture).map(\.messageID) == [before.description])
            try await spool.close()
            let again = try await self.open(fixture, as: ["instance-2"])
            #expect(try await fixture.messageIDs(again) == [after])
            try await again.close()
        }
    }

    @Test("After its certificate is restored, a guest can retry only its own outcomes")
    func restoredCertificate() async throws {
        try await SpoolFixture.with { fixture in
            let first = try await self.open(fixture)
            let refused = try await fixture.run(first).messageID
            try await first.setAside(1, reason: "unknown_event")
            let own = try await fixture.run(first).messageID
            try await first.close()
            // A wrong certificate, which is corrected in the next agent, where the guest has an additional name.
            let mistaken = try await self.open(fixture, as: ["instance-2"])
            let others = try await fixture.run(mistaken).messageID
            #expect(try await fixture.messageIDs(mistaken) == [others])
            try await mistaken.close()
            let again = try await self.open(fixture, as: ["spiffe://x/instance/instance-1", "instance-1"])
            #expect(try await fixture.messageIDs(again).isEmpty)
            let aside = try await self.setAside(fixture)
            #expect(aside.map(\.messageID) == [refused, own, others].map(\.description))
            #expect(try await SetAsideOutcomes(fixture.directory).retry(aside.map(\.sequence)) == 2)
            #expect(try await fixture.messageIDs(again) == [refused, own])
            #expect(try await self.setAside(fixture).map(\.messageID) == [others.description])
            #expect(try await again.counts().isBalanced)
            // Also in the running agent.
            again.setGuest(["instance-2"])
            #expect(try await fixture.messageIDs(again).isEmpty)
            again.setGuest(["instance-1"])
            #expect(try await fixture.messageIDs(again).isEmpty)
            let sequences = try await self.setAside(fixture).map(\.sequence)
            #expect(sequences.count == 3)
            #expect(try await SetAsideOutcomes(fixture.directory).retryAll(sequences).count == 0)
            try await again.close()
        }
    }

    @Test("An outcome that is answered after a certificate change counts as delivered")
    func answeredAfterChange() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await self.open(fixture)
            let refused = try await fixture.run(spool).messageID
            for _ in 0..<2 { try await fixture.run(spool) }
            let sequences = try await spool.entries(after: 0, limit: 10).map(\.sequence)
            try #require(sequences.count == 3)
            spool.setGuest(["instance-2"])
            #expect(try await fixture.messageIDs(spool).isEmpty)
            let aside = try await self.setAside(fixture)
            #expect(aside.count == 3)
            for outcome in aside {
                #expect(outcome.reason?.hasPrefix("No longer sent, and perhaps sent before: ") == true)
            }
            try await spool.remove(Array(sequences.dropFirst()))
            // An outcome that no longer exists is ignored.
            try await spool.remove(sequences.suffix(1))
            let counts = try await spool.counts()
            #expect((counts.delivered, counts.setAside, counts.waiting) == (2, 1, 0) && counts.isBalanced)
            #expect(try await self.setAside(fixture).map(\.messageID) == [refused.description])
            #expect(try await SetAsideOutcomes(fixture.directory).export([sequences[0]]) == 1)
            #expect(try await spool.counts().isBalanced)
            #expect(try await fixture.tallyAgrees(spool))
            try await spool.close()
        }
    }

    @Test("A claim works in transactions of 500 outcomes, and the next agent completes a failed one")
    func claimInBatches() async throws {
        try await SpoolFixture.with { fixture in
            let first = try await self.open(fixture)
            let refused = try await fixture.run(first)
            #expect(try await fixture.messageIDs(first) == [refused.messageID])
            try await first.setAside(1, reason: "unknown_event")
            try await first.close()
            _ = try await fixture.fill(1200)
            try fixture.change(
                """
                CREATE TRIGGER refuse BEFORE INSERT ON set_aside WHEN NEW.sequence = 701
                BEGIN SELECT RAISE(ABORT, 'no'); END
                """)
            let spool = try await self.open(fixture, as: ["instance-2"])
            await #expect(throws: OutboxError.self) { try await spool.entries(after: 0, limit: 10) }
            // No operation begins either, because the next agent would take it for the other guest's.
            await #expect(throws: OutboxError.self) { _ = try await fixture.begin(spool) }
            var counts = try await spool.counts()
            #expect((counts.setAside, counts.waiting) == (501, 700) && counts.isBalanced)
            try await spool.close()
            try fixture.change("DROP TRIGGER refuse")
            let again = try await self.open(fixture, as: ["instance-2"])
            let own = try await fixture.run(again).messageID
            #expect(try await fixture.messageIDs(again) == [own])
            counts = try await again.counts()
            #expect((counts.setAside, counts.waiting) == (1201, 1) && counts.isBalanced)
            let aside = try await SpoolInspection(fixture.directory).outcomes(.setAside, limit: 2000)
            #expect(try await SetAsideOutcomes(fixture.directory).retry(aside.map(\.sequence)) == 0)
            try await again.close()
        }
    }

    @Test("No outcome of another guest is returned while setting it aside fails")
    func failedClaim() async throws {
        try await SpoolFixture.with { fixture in
            _ = try await self.leave(fixture)
            try fixture.change("CREATE TRIGGER refuse BEFORE INSERT ON set_aside BEGIN SELECT RAISE(ABORT, 'no'); END")
            let spool = try await self.open(fixture, as: ["instance-2"])
            await #expect(throws: OutboxError.self) { try await spool.entries(after: 0, limit: 10) }
            try fixture.change("DROP TRIGGER refuse")
            #expect(try await fixture.messageIDs(spool).isEmpty)
            try await spool.close()
        }
    }
}
