// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import GRDB
import LogTesting
import NIOConcurrencyHelpers
import Notifications
import Testing

@testable import GuestSpool

/// Tests of a claim: it sets aside another guest's outcomes, one transaction in each turn of the writing queue.
@Suite("Claims of another guest's spool")
struct SpoolClaimTests {
    /// The names of the guest that the outcomes belong to.
    private let other = ["instance-1"]
    private let own = ["instance-2"]

    /// Creates a spool of the other guest, with one outcome that a conductor rejected and this many that wait.
    private func leave(_ fixture: SpoolFixture, _ count: Int) async throws {
        let spool = try await fixture.open()
        spool.setGuest(self.other)
        try await fixture.run(spool)
        #expect(try await fixture.messageIDs(spool).count == 1)
        try await spool.setAside(1, reason: "unknown_event")
        try await spool.close()
        _ = try await fixture.fill(count)
    }

    /// Runs the body while the writing queue is blocked, after this many turns of the claim.
    ///
    /// - Parameter first: begins the claim; it runs in the queue's first turn.
    private func standstill(
        _ spool: Spool, afterTurns turns: Int, _ first: @escaping @Sendable () -> Void,
        _ body: () async throws -> Void = {}
    ) async throws {
        let gate = DispatchSemaphore(value: 0)
        await withCheckedContinuation { held in
            spool.store.writing.async {
                first()
                Self.hold(spool.store.writing, afterTurns: turns, held, gate)
            }
        }
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        gate.signal()
        try result.get()
    }

    private static func hold(
        _ queue: DispatchQueue, afterTurns turns: Int, _ held: CheckedContinuation<Void, Never>,
        _ gate: DispatchSemaphore
    ) {
        queue.async {
            if turns > 1 {
                Self.hold(queue, afterTurns: turns - 1, held, gate)
            } else {
                held.resume()
                gate.wait()
            }
        }
    }

    /// Records, for each row that is inserted into a table, how many outcomes were set aside by then.
    private func watch(_ table: String, _ spool: Spool) throws {
        try spool.store.writing.sync {
            try spool.store.write { db in
                try db.execute(
                    sql: """
                        CREATE TABLE seen (set_aside INTEGER);
                        CREATE TRIGGER see AFTER INSERT ON \(table)
                        BEGIN INSERT INTO seen SELECT set_aside FROM tally; END
                        """)
            }
        }
    }

    private func seen(_ spool: Spool) async throws -> [Int] {
        try await spool.store.read { try Int.fetchAll($0, sql: "SELECT set_aside FROM seen") }
    }

    private func setAside(_ fixture: SpoolFixture) async throws -> [Int64] {
        try await SpoolInspection(fixture.directory).outcomes(.setAside, limit: 5000).map(\.sequence)
    }

    private func logged(_ fixture: SpoolFixture) -> [String] {
        fixture.log.entries.filter { $0.message == "Set aside the outcomes of another guest" }
            .compactMap { $0.metadata["outcomes"] }
    }

    @Test("An outcome that arrives during a claim is written between two of its transactions")
    func outcomeDuringClaim() async throws {
        try await SpoolFixture.with { fixture in
            try await self.leave(fixture, 1200)
            let spool = try await fixture.open()
            spool.setGuest(self.other)
            let id = try await fixture.begin(spool)
            let finish = SpoolChange.Finish(fixture.report(id: id))
            try self.watch("waiting", spool)
            try await self.standstill(spool, afterTurns: 1) {
                spool.setGuest(["instance-2"])
                spool.writer.enqueue(SpoolWrite(.finish(finish), nil, deadline: .distantFuture))
            }
            #expect(try await fixture.messageIDs(spool) == [id])
            let seen = try await self.seen(spool)
            #expect(seen.count == 1 && seen[0] < 1201, "\(seen)")
            let counts = try await spool.counts()
            #expect((counts.setAside, counts.waiting) == (1201, 1) && counts.isBalanced)
            try await spool.close()
        }
    }

    @Test("An operation begins only after a claim has ended")
    func operationAfterClaim() async throws {
        try await SpoolFixture.with { fixture in
            try await self.leave(fixture, 1200)
            let spool = try await fixture.open()
            try self.watch("running", spool)
            let operation = MessageID()
            let begun = NIOLockedValueBox<Task<MessageID, any Error>?>(nil)
            try await self.standstill(spool, afterTurns: 2) {
                spool.setGuest(["instance-2"])
            } _: {
                begun.withLockedValue { $0 = Task { try await fixture.begin(spool, operation) } }
                while spool.writer.pendingCount == 0 { await Task.yield() }
                let counts = try await spool.counts()
                #expect(counts.running == 0)
            }
            _ = try await begun.withLockedValue { $0 }?.value
            #expect(try await fixture.messageIDs(spool).isEmpty)
            try await spool.finish(fixture.report(id: operation))
            #expect(try await self.seen(spool) == [1201])
            #expect(try await fixture.messageIDs(spool) == [operation])
            try await spool.close()
        }
    }

    @Test("An operation that waits too long for a claim is rejected, with the reason")
    func operationTimesOut() async throws {
        try await SpoolFixture.with { fixture in
            try await self.leave(fixture, 1)
            var configuration = Spool.Configuration()
            configuration.writeTimeout = .milliseconds(1)
            let spool = try await fixture.open(configuration)
            try await self.standstill(spool, afterTurns: 1) {
                spool.setGuest(["instance-2"])
            } _: { () async throws in
                let begun = Task { try await fixture.begin(spool) }
                let error = await #expect(throws: OutboxError.self) { try await begun.value }
                #expect(error?.code == .diskSlow)
                #expect(error?.description.contains("setting aside outcomes of another guest") == true)
            }
            #expect(try await fixture.messageIDs(spool).isEmpty)
            #expect(try await spool.counts().running == 0)
            try await spool.close()
        }
    }

    @Test("Each claim logs the number of outcomes that it has set aside itself")
    func ownCount() async throws {
        try await SpoolFixture.with { fixture in
            try await self.leave(fixture, 1200)
            let spool = try await fixture.open()
            // The first claim begins, and sets 500 outcomes aside.
            try await self.standstill(spool, afterTurns: 2) {
                spool.setGuest(["instance-2"])
            } _: {
                spool.setGuest(["instance-3"])
            }
            #expect(try await fixture.messageIDs(spool).isEmpty)
            #expect(self.logged(fixture) == ["500", "700"])
            let aside = try await self.setAside(fixture)
            #expect(try await SetAsideOutcomes(fixture.directory).retry(aside) == 0)
            try await spool.close()
        }
    }

    @Test("A retry during a claim is rejected, and afterwards puts back no outcome of the other guest")
    func retryDuringClaim() async throws {
        try await SpoolFixture.with { fixture in
            try await self.leave(fixture, 1200)
            let spool = try await fixture.open()
            let outcomes = SetAsideOutcomes(fixture.directory)
            for turns in 1...2 {
                try await self.standstill(spool, afterTurns: 1) {
                    if turns == 1 { spool.setGuest(["instance-2"]) }
                } _: {
                    let aside = try await self.setAside(fixture)
                    #expect(aside.first == 1)
                    let error = await #expect(throws: OutboxError.self) { _ = try await outcomes.retryAll(aside) }
                    #expect(error?.description.contains("being claimed from another guest") == true)
                    await #expect(throws: OutboxError.self) { _ = try await outcomes.retry(aside) }
                }
            }
            #expect(try await fixture.messageIDs(spool).isEmpty)
            let all = try await outcomes.retryAll(self.setAside(fixture))
            #expect((all.count, all.copied) == (0, 0))
            #expect(try await fixture.messageIDs(spool).isEmpty)
            try await spool.close()
        }
    }

    @Test("An outcome that is retried before the guest is known is claimed with the others")
    func retryBeforeClaim() async throws {
        try await SpoolFixture.with { fixture in
            try await self.leave(fixture, 1)
            let spool = try await fixture.open()
            #expect(try await SetAsideOutcomes(fixture.directory).retryAll([1]).count == 1)
            spool.setGuest(self.own)
            #expect(try await fixture.messageIDs(spool).isEmpty)
            #expect(try await spool.counts().setAside == 2)
            try await spool.close()
        }
    }

    @Test("Restoring the certificate during a claim, or after a crash in one, loses no outcome")
    func restoredCertificate() async throws {
        try await SpoolFixture.with { fixture in
            try await self.leave(fixture, 1200)
            let outcomes = SetAsideOutcomes(fixture.directory)
            for isCrash in [false, true] {
                let spool = try await fixture.open()
                spool.setGuest(self.other)
                #expect(try await fixture.messageIDs(spool).count == 1200)
                if isCrash {
                    try await self.failClaim(spool, fixture)
                    // No agent has the spool open, and the waiting outcomes are not claimed yet.
                    await #expect(throws: OutboxError.self) { _ = try await outcomes.retryAll([1]) }
                } else {
                    try await self.standstill(spool, afterTurns: 2) {
                        spool.setGuest(["instance-2"])
                    } _: {
                        spool.setGuest(["instance-1"])
                    }
                    #expect(try await fixture.messageIDs(spool).count == 700)
                    try await spool.close()
                }
                let again = try await fixture.open()
                again.setGuest(self.other)
                #expect(try await fixture.messageIDs(again).count < 1200)
                let aside = try await self.setAside(fixture)
                // The first outcome was rejected by a conductor.
                #expect(try await outcomes.retry(aside.filter { $0 > 1 }) == aside.count - 1)
                #expect(try await fixture.messageIDs(again).count == 1200)
                #expect(try await again.counts().isBalanced)
                try await again.close()
            }
        }
    }

    /// Makes a claim fail at the last outcome.
    private func failClaim(_ spool: Spool, _ fixture: SpoolFixture) async throws {
        try spool.store.writing.sync {
            try spool.store.write { db in
                let last = try SpoolFile.lastSequence(db)
                try db.execute(
                    sql: """
                        CREATE TRIGGER refuse BEFORE INSERT ON set_aside WHEN NEW.sequence = \(last)
                        BEGIN SELECT RAISE(ABORT, 'no'); END
                        """)
            }
        }
        spool.setGuest(self.own)
        await #expect(throws: OutboxError.self) { try await spool.entries(after: 0, limit: 1) }
        try await spool.close()
        try fixture.change("DROP TRIGGER refuse")
    }

    @Test("Restoring the certificate during a claim loses no outcome if the origin was not stored")
    func restoredCertificateUnrecorded() async throws {
        try await SpoolFixture.with { fixture in
            try await self.leave(fixture, 1200)
            let spool = try await fixture.open()
            let origin = try spool.store.writing.sync { try spool.store.write { try SpoolOrigin($0) } }
            spool.writer.machine.withLockedValue { $0.unrecordedOrigin = origin }
            try await self.standstill(spool, afterTurns: 2) {
                spool.setGuest(["instance-2"])
            } _: {
                spool.setGuest(["instance-1"])
            }
            #expect(try await fixture.messageIDs(spool).count == 700)
            let aside = try await self.setAside(fixture)
            #expect(try await SetAsideOutcomes(fixture.directory).retry(aside.filter { $0 > 1 }) == 500)
            #expect(try await fixture.messageIDs(spool).count == 1200)
            try await spool.close()
        }
    }

    @Test("A failed claim's outcomes can be retried, even if the origin could not be stored at first")
    func retryAfterFailedClaim() async throws {
        try await SpoolFixture.with { fixture in
            try await self.leave(fixture, 1200)
            try await self.failClaim(try await fixture.open(), fixture)
            try fixture.change(
                """
                CREATE TRIGGER refuse BEFORE INSERT ON origin WHEN NEW.is_claimed = 0
                BEGIN SELECT RAISE(ABORT, 'no'); END
                """)
            let spool = try await fixture.open()
            spool.setGuest(self.other)
            let waiting = try await fixture.messageIDs(spool).count
            #expect((1..<1200).contains(waiting))
            try spool.store.writing.sync { try spool.store.write { try $0.execute(sql: "DROP TRIGGER refuse") } }
            try await fixture.run(spool)
            #expect(try await fixture.messageIDs(spool).count == waiting + 1)
            let aside = try await self.setAside(fixture)
            let retried = try await SetAsideOutcomes(fixture.directory).retry(aside.filter { $0 > 1 })
            #expect(retried == 1200 - waiting)
            #expect(try await fixture.messageIDs(spool).count == 1201)
            try await spool.close()
        }
    }

    @Test("Closing a spool during a claim completes the claim")
    func closeDuringClaim() async throws {
        try await SpoolFixture.with { fixture in
            try await self.leave(fixture, 1200)
            let spool = try await fixture.open()
            try await self.standstill(spool, afterTurns: 1) { spool.setGuest(["instance-2"]) }
            try await spool.close()
            #expect(try await self.setAside(fixture).count == 1201)
            #expect(self.logged(fixture) == ["1200"])
            await #expect(throws: OutboxError.self) { try await spool.entries(after: 0, limit: 1) }
        }
    }

    @Test("A spool of version 4 still belongs to its guest, also after damage")
    func version4() async throws {
        try await SpoolFixture.with { fixture in
            try await self.leave(fixture, 1)
            for damage in ["", "DELETE FROM tally;"] {
                try fixture.change(
                    """
                    ALTER TABLE origin DROP COLUMN is_claimed; DELETE FROM grdb_migrations WHERE identifier = '5'; \(damage)
                    """)
                let same = try await fixture.open()
                same.setGuest(self.other)
                #expect(try await fixture.messageIDs(same).count == 1)
                try await same.close()
            }
            #expect(fixture.damages.count == 1)
            let spool = try await fixture.open()
            spool.setGuest(self.own)
            #expect(try await fixture.messageIDs(spool).isEmpty)
            try await spool.close()
        }
    }
}
