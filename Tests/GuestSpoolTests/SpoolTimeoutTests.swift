// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import GRDB
import Notifications
import Testing

@testable import GuestSpool

/// Tests of a disk that neither writes nor fails: here a blocked writing queue, or another process's transaction.
@Suite(.timeLimit(.minutes(2))) struct SpoolTimeoutTests {
    private static let impatient: Spool.Configuration = {
        var configuration = Spool.Configuration()
        configuration.writeTimeout = .seconds(2)
        return configuration
    }()

    private func code(_ body: () async throws -> Void) async -> OutboxError.Code? {
        do {
            try await body()
            return nil
        } catch { return (error as? OutboxError)?.code }
    }

    /// Blocks all writes until the semaphore is signalled. Waits for the current write, which may still accept others.
    private func held(_ spool: Spool) async -> DispatchSemaphore {
        let gate = DispatchSemaphore(value: 0)
        await withCheckedContinuation { held in
            spool.store.writing.async {
                held.resume()
                gate.wait()
            }
        }
        return gate
    }

    @Test("A write that times out before it starts is dropped, unless it is an outcome")
    func timeoutBeforeWrite() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open(Self.impatient)
            let report = fixture.report()
            _ = try await fixture.begin(spool, report.messageID)
            let gate = await self.held(spool)
            let begun = await self.code { _ = try await fixture.begin(spool) }
            #expect(begun == .diskSlow)
            let finished = await self.code { try await spool.finish(report) }
            #expect(finished == .diskSlow)
            let removed = await self.code { try await spool.remove([7]) }
            #expect(removed == .diskSlow)
            let arrival = AsyncStream.makeStream(of: Void.self)
            spool.whenOutcomesArrive { arrival.continuation.yield() }
            gate.signal()
            for await _ in arrival.stream { break }
            let counts = try await spool.counts()
            #expect((counts.begun, counts.running, counts.waiting) == (1, 0, 1) && counts.isBalanced)
            #expect(try await fixture.messageIDs(spool) == [report.messageID])
            try await spool.close()
        }
    }

    /// The beginning is written first, in a transaction of its own, without any outcome that is about to be finished.
    @Test("An outcome that is finished again while others begin is recorded once")
    func finishAgainAfterTimeout() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open(Self.impatient)
            let report = fixture.report()
            _ = try await fixture.begin(spool, report.messageID)
            let gate = await self.held(spool)
            #expect(await self.code { try await spool.finish(report) } == .diskSlow)
            async let again = self.code { try await spool.finish(report) }
            async let begun = self.code { _ = try await fixture.begin(spool) }
            while spool.writer.pendingCount < 2 { await Task.yield() }
            gate.signal()
            #expect(await again == nil)
            #expect(await begun == nil)
            let counts = try await spool.counts()
            #expect((counts.begun, counts.running, counts.waiting) == (2, 1, 1) && counts.isBalanced)
            #expect(try await fixture.messageIDs(spool) == [report.messageID])
            try await spool.close()
        }
    }

    @Test("After a timeout during a write the beginning is undone and the outcome recorded")
    func timeoutDuringWrite() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open(Self.impatient)
            let report = fixture.report()
            _ = try await fixture.begin(spool, report.messageID)
            let arrival = AsyncStream.makeStream(of: Void.self)
            spool.whenOutcomesArrive { arrival.continuation.yield() }
            var settings = GRDB.Configuration()
            settings.allowsUnsafeTransactions = true
            // The spool may have a transaction of its own at that moment.
            settings.busyMode = .timeout(10)
            let other = try DatabaseQueue(path: fixture.file, configuration: settings)
            // The write timeout is shorter than the five seconds that SQLite waits for another process's transaction.
            try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
            async let begun = self.code { _ = try await fixture.begin(spool) }
            async let finished = self.code { try await spool.finish(report) }
            #expect(await begun == .diskSlow)
            #expect(await finished == .diskSlow)
            try await other.writeWithoutTransaction { try $0.execute(sql: "COMMIT") }
            try other.close()
            for await _ in arrival.stream { break }
            // The beginning that timed out is undone in a transaction of its own, before this one.
            _ = try await fixture.run(spool)
            let counts = try await spool.counts()
            #expect((counts.begun, counts.running, counts.waiting) == (2, 0, 2) && counts.isBalanced)
            #expect(try await fixture.messageIDs(spool).first == report.messageID)
            try await spool.close()
            // The operation whose beginning timed out is not reported as interrupted.
            let next = try await fixture.open()
            #expect(try await next.counts().waiting == 2)
            try await next.close()
        }
    }
}
