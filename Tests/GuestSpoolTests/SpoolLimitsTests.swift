// SPDX-License-Identifier: Apache-2.0

import Notifications
import Testing

@testable import GuestSpool

@Suite struct SpoolLimitsTests {
    private func refusal(_ spool: Spool, _ fixture: SpoolFixture) async throws -> OutboxError {
        let error = await #expect(throws: OutboxError.self) { _ = try await fixture.begin(spool) }
        return try #require(error)
    }

    @Test("Running, waiting and set-aside outcomes count towards one limit, also after a restart")
    func countLimit() async throws {
        try await SpoolFixture.with { fixture in
            var configuration = Spool.Configuration()
            configuration.maximumCount = 3
            let first = try await fixture.open(configuration)
            let aside = try await fixture.run(first)
            try await fixture.run(first)
            let running = try await fixture.begin(first)
            let sequence = try #require(try await first.entries(after: 0, limit: 1).first)
            #expect(sequence.report == aside)
            try await first.setAside(sequence.sequence, reason: "unknown event")
            let error = try await self.refusal(first, fixture)
            #expect(error.code == .full)
            for part in [
                "1 operations run", "1 outcomes wait", "1 are set aside", "maximumCount is 3", "raise maximumCount",
            ] { #expect(error.description.contains(part)) }
            // The outcome of a begun operation is always accepted.
            try await first.finish(fixture.report(id: running))
            try await first.close()
            let second = try await fixture.open(configuration)
            #expect(try await self.refusal(second, fixture).code == .full)
            #expect(try await second.counts().refused == 2)
            let waiting = try await second.entries(after: 0, limit: 10)
            try await second.remove(waiting.map(\.sequence))
            _ = try await fixture.begin(second)
            let counts = try await second.counts()
            #expect(counts.isBalanced && counts.delivered == 2 && counts.setAside == 1 && counts.running == 1)
            try await second.close()
        }
    }

    @Test("Bytes are reserved for the outcomes of running operations")
    func byteLimit() async throws {
        try await SpoolFixture.with { fixture in
            var configuration = Spool.Configuration()
            configuration.maximumBytes = 100_000
            configuration.reservedBytes = 20_000
            let spool = try await fixture.open(configuration)
            var ids: [MessageID] = []
            for _ in 0..<4 { ids.append(try await fixture.begin(spool)) }
            let error = try await self.refusal(spool, fixture)
            #expect(error.code == .full)
            for part in ["maximumBytes is 100000", "reservedBytes is 20000", "raise maximumBytes"] {
                #expect(error.description.contains(part))
            }
            // Even if the outcomes are larger than the reserved bytes.
            for id in ids { try await spool.finish(fixture.report(String(repeating: "x", count: 50_000), id: id)) }
            #expect(try await self.refusal(spool, fixture).description.contains("maximumBytes"))
            try await spool.remove(try await spool.entries(after: 0, limit: 10).map(\.sequence))
            _ = try await fixture.begin(spool)
            #expect(try await spool.counts().refused == 2)
            try await spool.close()
        }
    }

    @Test("Operations that wait for a slow disk count towards the limit")
    func slowDiskLimit() async throws {
        try await SpoolFixture.with { fixture in
            var configuration = Spool.Configuration()
            configuration.maximumCount = 2
            let spool = try await fixture.open(configuration)
            try await fixture.together(spool, 2) { group in
                group.addTask { _ = try await fixture.begin(spool) }
                group.addTask { _ = try await fixture.begin(spool) }
            } meanwhile: {
                let error = try await self.refusal(spool, fixture)
                #expect(error.code == .full)
                #expect(spool.writer.refusals?.count == 1)
            }
            #expect(try await self.refusal(spool, fixture).description.contains("maximumCount is 2"))
            #expect(try await spool.counts().refused == 2)
            try await spool.close()
        }
    }
}
