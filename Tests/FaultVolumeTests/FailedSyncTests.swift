// SPDX-License-Identifier: Apache-2.0

import FaultVolume
import Foundation
import GRDB
import GuestSpool
import LogTesting
import Notifications
import Testing

/// Tests that an outcome that is recorded after a failed `fsync` is on the disk. The system may have dropped what
/// precedes the outcome in the write-ahead log, and reports success from then on.
@Suite("Failed disk syncs", .serialized, .timeLimit(.minutes(2)))
struct FailedSyncTests {
    private let context = NotificationContext(
        operation: "user_create", requestID: "r", tenantID: "t", clientIP: "c")

    private func open(_ directory: String) async throws -> Spool {
        try await Spool.open(directory, logger: .quiet)
    }

    private func begin(_ spool: Spool) async throws -> OutcomeReport {
        let report = OutcomeReport(context: self.context, outcome: .end(payload: JSONObject()))
        try await spool.begin(BegunOperation(messageID: report.messageID, context: self.context))
        return report
    }

    private func withThinVolume(_ body: (ThinVolume, _ spool: String) async throws -> Void) async throws {
        let thin = try await ThinVolume.make(in: FileManager.default.temporaryDirectory)
        do {
            try await body(thin, "\(thin.volume.path)/spool")
        } catch {
            await thin.destroy()
            throw error
        }
        await thin.destroy()
    }

    /// Exhausts the storage: from now on, blocks that are written to the disk for the first time are lost.
    private func exhaust(_ thin: ThinVolume) throws {
        try thin.exhaust()
        let probe = try DiskFile("\(thin.volume.path)/probe")
        try probe.append([UInt8](repeating: 1, count: 16 << 10))
        #expect(throws: DiskFile.Failure.self) { try probe.sync() }
    }

    /// Cuts the power, and returns the message ids that are on the disk afterwards.
    private func idsAfterPowerCut(_ thin: ThinVolume, _ directory: String, _ close: () async -> Void) async throws
        -> [MessageID]
    {
        try await thin.volume.cutPower()
        await close()
        try await thin.volume.remount()
        let spool = try await self.open(directory)
        let entries = try await spool.entries(after: 0, limit: 10)
        try await spool.close()
        return entries.filter { $0.report.outcome.phase == .end }.map(\.report.messageID)
    }

    @Test("An outcome recorded after an fsync failed at the spool's opening survives a power cut")
    func takeover() async throws {
        try await self.withThinVolume { thin, directory in
            try await self.open(directory).close()
            try await thin.giveBackFreeBlocks()
            // In the log and not yet on the disk, as a killed agent leaves it; and the machine has been restarted
            // since.
            let killed = try DatabaseQueue(path: "\(directory)/spool.sqlite")
            try await killed.writeWithoutTransaction { db in
                try db.execute(
                    sql: """
                        PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = NORMAL;
                        UPDATE origin SET boot_id = 'an earlier start'
                        """)
            }
            try self.exhaust(thin)
            let spool = try await self.open(directory)
            let origin = try await killed.read { try String.fetchOne($0, sql: "SELECT boot_id FROM origin") }
            #expect(origin == "an earlier start", "the disk has not lost what was to be recorded")
            // For the next agent, in case this one is killed now.
            #expect(fileText("\(directory)/agent.lock")?.hasSuffix("\ndoubt\n") == true)
            try thin.replenish()
            let report = try await self.begin(spool)
            try await spool.finish(report)
            #expect(fileText("\(directory)/agent.lock")?.contains("doubt") == false)
            let ids = try await self.idsAfterPowerCut(thin, directory) {
                try? await spool.close()
                try? killed.close()
            }
            #expect(ids == [report.messageID])
        }
    }

    @Test("An outcome recorded after an fsync failed while others were set aside survives a power cut")
    func claim() async throws {
        try await self.withThinVolume { thin, directory in
            let before = try await self.open(directory)
            before.setGuest(["guest-1"])
            try await before.finish(try await self.begin(before))
            try await before.close()
            try await thin.giveBackFreeBlocks()
            let spool = try await self.open(directory)
            spool.setGuest(["guest-1"])
            let report = try await self.begin(spool)
            // The log's first blocks are synced, with everything begun so far: no sync is due that would meet the
            // failure first.
            try await spool.finish(try await self.begin(spool))
            try self.exhaust(thin)
            spool.setGuest(["guest-2"])
            // Claiming again may succeed, because it needs no block without storage.
            _ = try? await spool.entries(after: 0, limit: 10)
            try thin.replenish()
            #expect(try await spool.entries(after: 0, limit: 10).isEmpty)
            try await spool.finish(report)
            let ids = try await self.idsAfterPowerCut(thin, directory) { try? await spool.close() }
            #expect(ids == [report.messageID])
        }
    }

    @Test("No operation becomes an interrupted one while the log of an earlier agent cannot be synced")
    func interruption() async throws {
        try await self.withThinVolume { thin, directory in
            let before = try await self.open(directory)
            let report = try await self.begin(before)
            try await before.close()
            try await thin.giveBackFreeBlocks()
            let killed = try DatabaseQueue(path: "\(directory)/spool.sqlite")
            try await killed.writeWithoutTransaction { db in
                try db.execute(
                    sql: "PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = NORMAL; UPDATE tally SET refused = 1")
            }
            try self.exhaust(thin)
            let error = await #expect(throws: OutboxError.self) { _ = try await self.open(directory) }
            #expect(error?.code == .failed || error?.code == .diskFull, "\(String(describing: error))")
            let running = try await killed.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM running") }
            #expect(running == 1)
            try thin.replenish()
            let spool = try await self.open(directory)
            let entries = try await spool.entries(after: 0, limit: 10)
            #expect(entries.map(\.report.messageID) == [report.messageID])
            try await thin.volume.cutPower()
            try? await spool.close()
            try? killed.close()
            try await thin.volume.remount()
            let again = try await self.open(directory)
            #expect(try await again.entries(after: 0, limit: 10).map(\.report) == entries.map(\.report))
            #expect(try await again.counts().refused == 1)
            try await again.close()
        }
    }
}
