// SPDX-License-Identifier: Apache-2.0

import FaultVolume
import Foundation
import NIOConcurrencyHelpers
import Testing

/// That an outcome is on the disk when `finish` returns: with a disk whose power goes at that moment.
@Suite(.serialized) struct PowerCutTests {
    @Test(.timeLimit(.minutes(5)))
    func whatTheSpoolTookSurvivesTheLossOfPower() async throws {
        let end = try await self.cutRepeatedly(SpoolStore.self, rounds: 20)
        #expect(end.taken > 20)
        #expect(end.lost == [])
    }

    /// The same check of a store that does not sync: without this, the one above could be blind.
    @Test(.timeLimit(.minutes(5)))
    func whatWasNotSyncedDoesNot() async throws {
        let end = try await self.cutRepeatedly(UnsyncedStore.self, rounds: 3)
        #expect(end.taken > 3)
        #expect(!end.lost.isEmpty)
    }

    private struct End {
        /// How many outcomes the store said it had taken.
        var taken = 0
        /// Those of them that were not there afterwards.
        var lost: Set<String> = []
    }

    /// In each round, several tasks have outcomes taken until the power goes, at a moment when one has just been taken
    /// and others are on their way. Then all that was taken, in this round and before, must be there.
    private func cutRepeatedly(_ type: (some OutcomeStore).Type, rounds: Int) async throws -> End {
        var end = End()
        var all: Set<String> = []
        try await withVolume { volume in
            for _ in 0..<rounds {
                let store = try await type.open(volume.path)
                all.formUnion(await self.takeUntilCut(store, try await volume.armPowerCut()))
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

    /// - Returns: what was taken while there was power. What a store says later counts for nothing: the machine would
    ///   be dead.
    private func takeUntilCut(_ store: some OutcomeStore, _ power: ArmedPowerCut) async -> Set<String> {
        let taken = NIOLockedValueBox<Set<String>>([])
        let tasks = Int.random(in: 1...40)
        let limit = Int.random(in: 1...(3 * tasks))
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<tasks {
                group.addTask {
                    // Ends with the error of a disk that is gone.
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
