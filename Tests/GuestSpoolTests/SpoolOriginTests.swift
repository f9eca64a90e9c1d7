import Foundation
import GRDB
import LogTesting
import Logging
import Notifications
import Testing

@testable import GuestSpool

@Suite("A spool that was copied, restored, or is another guest's")
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

    /// A spool with an outcome that waits and an operation that runs, as an agent leaves it that was killed.
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
        let copy = "\(fixture.directory).copy"
        try FileManager.default.copyItem(atPath: fixture.directory, toPath: copy)
        try FileManager.default.removeItem(atPath: fixture.directory)
        try FileManager.default.moveItem(atPath: copy, toPath: fixture.directory)
    }

    private func setAside(_ fixture: SpoolFixture) async throws -> [SpoolOutcome] {
        try await SpoolInspection(fixture.directory).outcomes(.setAside, limit: 10)
    }

    @Test("What tells a copy: another machine, another virtual machine, a file that was made at another time")
    func copyReasons() {
        let origin = SpoolOrigin(
            machine: GuestMachine(machineID: "m", bootID: "b", productUUID: "u"), fileMade: "1.5")
        func reason(_ machineID: String?, _ productUUID: String?, _ made: String?) -> String? {
            // A machine that starts again, after a power cut at the worst, has another boot id and is the same.
            origin.copyReason(
                on: GuestMachine(machineID: machineID, bootID: "other", productUUID: productUUID), fileMade: made)
        }
        #expect(reason("m", "u", "1.5") == nil)
        // What this user may not read, or this file system does not say, proves nothing.
        #expect(reason(nil, nil, nil) == nil)
        #expect(reason("n", "u", "1.5")?.contains("another machine") == true)
        #expect(reason("m", "v", "1.5")?.contains("another virtual machine") == true)
        #expect(reason("m", "u", "1.6")?.contains("copy") == true)
        #expect(SpoolOrigin().copyReason(on: self.machine, fileMade: "1.5") == nil)
    }

    @Test("A renewed certificate of the same guest is no stranger's, whatever else it names")
    func strangers() {
        let origin = SpoolOrigin(guest: "instance-1")
        #expect(origin.strangerReason(["instance-1", "spiffe://new/tenant/t/instance/instance-1"]) == nil)
        #expect(origin.strangerReason(["spiffe://x/instance/instance-1", "instance-1"]) == nil)
        #expect(origin.strangerReason([]) == nil && SpoolOrigin().strangerReason(["instance-2"]) == nil)
        #expect(origin.strangerReason(["instance-2", "host"])?.contains("instance-1") == true)
    }

    @Test(
        "A crash on the same machine is told as an interruption, also after its next start and under another host name")
    func crash() async throws {
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

    @Test("An operation that was in flight in a copied or restored spool is set aside, and not told as interrupted")
    func restored() async throws {
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
            // From now on it is the spool that was written last.
            let next = try await fixture.begin(spool)
            try await spool.close()
            let again = try await self.open(fixture)
            #expect(try await fixture.messageIDs(again) == [waiting, next])
            // Whoever knows that it has not ended lets it be told.
            #expect(try await SetAsideOutcomes(fixture.directory).retry(aside.map(\.sequence)) == 1)
            #expect(try await fixture.messageIDs(again) == [waiting, next, running])
            try await again.close()
        }
    }

    @Test("A spool from another machine has nothing told as interrupted")
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

    @Test("Another guest's outcomes are set aside with its name, never handed out, and not sent again by a retry")
    func anotherGuest() async throws {
        try await SpoolFixture.with { fixture in
            let (waiting, running) = try await self.leave(fixture)
            // The disk of a virtual machine, as it was, under another certificate: nothing else tells.
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

    @Test("A spool of an earlier version, or one without a guest's name, is taken over as it is")
    func withoutOrigin() async throws {
        try await SpoolFixture.with { fixture in
            let (waiting, running) = try await self.leave(fixture)
            try fixture.change(
                """
                DROP TABLE origin; ALTER TABLE set_aside DROP COLUMN guest; DELETE FROM grdb_migrations WHERE identifier = '3'
                """)
            try self.copy(fixture)
            let spool = try await self.open(fixture, as: ["instance-2"])
            #expect(try await fixture.messageIDs(spool) == [waiting, running])
            try await spool.close()
        }
    }

    @Test("A damaged spool stays its guest's: what is made of it is no copy")
    func damaged() async throws {
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

    @Test("A disk that is full keeps nothing of this guest's from delivery")
    func fullDisk() async throws {
        try await SpoolFixture.with { fixture in
            let (waiting, running) = try await self.leave(fixture)
            try await (try await self.open(fixture)).close()
            try fixture.change(
                """
                UPDATE origin SET guest = NULL;
                CREATE TRIGGER full BEFORE INSERT ON origin BEGIN SELECT RAISE(ABORT, 'no'); END
                """)
            var restarted = self.machine
            restarted.bootID = "boot-2"
            let spool = try await self.open(fixture, on: restarted)
            #expect(try await fixture.messageIDs(spool) == [waiting, running])
            try await spool.close()
        }
    }

    @Test("Of another guest's spool nothing is handed out while the disk does not take that it is another's")
    func claimThatFails() async throws {
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
