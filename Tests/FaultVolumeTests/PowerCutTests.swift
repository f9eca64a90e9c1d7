// SPDX-License-Identifier: Apache-2.0

import FaultVolume
import Foundation
import NIOConcurrencyHelpers
import RandomTesting
import Testing

/// Tests that an outcome is on the disk when `finish` returns, with a disk that loses its power at that moment.
@Suite(.serialized) struct PowerCutTests {
    @Test("An outcome that the spool has recorded survives a power cut", .timeLimit(.minutes(5)))
    func spoolSurvivesPowerCut() async throws {
        let end = try await self.cutRepeatedly(SpoolStore.self, rounds: 20)
        #expect(end.taken > 20)
        #expect(end.lost == [])
    }

    /// Runs the same check on a store that does not sync: without this, the check above might detect nothing.
    @Test("A store that does not sync loses outcomes in a power cut", .timeLimit(.minutes(5)))
    func unsyncedStoreLosesOutcomes() async throws {
        let end = try await self.cutRepeatedly(UnsyncedStore.self, rounds: 3)
        #expect(end.taken > 3)
        #expect(!end.lost.isEmpty)
    }

    private struct End {
        /// The number of outcomes that the store reported as recorded.
        var taken = 0
        /// Those of them that were missing afterwards.
        var lost: Set<String> = []
    }

    /// Lets several tasks record outcomes in each round, until the power is cut at a moment when one has just been
    /// recorded and others are in progress. Then all that were recorded, in this round and before, must be there.
    private func cutRepeatedly(_ type: (some OutcomeStore).Type, rounds: Int) async throws -> End {
        var end = End()
        var all: Set<String> = []
        try await withVolume { volume in
            for round in 0..<rounds {
                var random = Seeded(UInt64(round))
                let store = try await type.open(volume.path)
                all.formUnion(await self.takeUntilCut(store, try await volume.armPowerCut(), &random))
                await store.close()
                try await volume.remount()
                let reopened = try await type.open(volume.path)
                end.lost.formUnion(all.subtracting(try await reopened.all()))
                await reopened.close()
            }
        }
        end.taken = all.count
        return end
    }

    /// - Returns: the outcomes that were recorded before the cut. Later reports of the store do not count: the machine
    ///   would be off.
    private func takeUntilCut(
        _ store: some OutcomeStore, _ power: ArmedPowerCut, _ random: inout Seeded
    ) async -> Set<String> {
        let taken = NIOLockedValueBox<Set<String>>([])
        let tasks = Int.random(in: 1...40, using: &random)
        let limit = Int.random(in: 1...(3 * tasks), using: &random)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<tasks {
                group.addTask {
                    // Ends with the error of a disk without power.
                    while let id = try? await store.take() {
                        let isLast = taken.withLockedValue { taken in
                            guard taken.count < limit else { return false }
                            taken.insert(id)
                            return taken.count == limit
                        }
                        if isLast { await #expect(throws: Never.self) { try await power.cut() } }
                    }
                }
            }
        }
        return taken.withLockedValue { $0 }
    }
}
