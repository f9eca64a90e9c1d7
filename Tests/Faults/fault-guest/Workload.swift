// SPDX-License-Identifier: Apache-2.0

import FaultWorkload
import GuestAgent
import NIOConcurrencyHelpers
import ServiceLifecycle

/// Runs planned operations, one after another in each of several tasks, until graceful shutdown begins.
struct Workload: Service {
    let guest: FaultGuest
    let agent: GuestAgent

    func run() async throws {
        // The group handles signals before it runs its services.
        FaultGuest.say("ready")
        let next = NIOLockedValueBox(self.guest.first)
        let interval = Duration.seconds(Double(self.guest.concurrency) / self.guest.rate)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<self.guest.concurrency {
                group.addTask {
                    while !Task.isShuttingDownGracefully {
                        let number = next.withLockedValue { next in
                            defer { next += 1 }
                            return next
                        }
                        let start = ContinuousClock.now
                        await self.run(PlannedOperation(guest: self.guest.name, number: number))
                        try? await Task.sleep(until: start + interval)
                    }
                }
            }
        }
        await self.waitForDisk()
        // The agent drains after this service has ended, and the group ends after the agent.
        try? await gracefulShutdown()
    }

    /// Waits until the outcomes that the spool keeps in memory, because its disk failed when the last operations ended,
    /// are on the disk: the spool retries each second, and an agent delivers only what is on the disk.
    private func waitForDisk() async {
        let end = ContinuousClock.now + .seconds(10)
        while .now < end, (try? await self.agent.counts().running) != 0 {
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    private func run(_ operation: PlannedOperation) async {
        let probe = OperationProbe()
        FaultGuest.say("begun \(operation.number)")
        let word: String
        do {
            try await OperationProbe.$current.withValue(probe) {
                try await self.agent.withNotification(operation.context) {
                    probe.ran()
                    FaultGuest.say("running \(operation.number)")
                    if operation.milliseconds > 0 { try? await Task.sleep(for: .milliseconds(operation.milliseconds)) }
                    if operation.fails { throw PlannedFailure(operation) }
                }
            }
            word = "kept"
        } catch is PlannedFailure {
            word = probe.isNotKept ? "not-kept" : "kept"
        } catch let error as OutboxError {
            word = probe.hasRun ? "not-kept" : error.code == .full ? "refused" : "not-begun"
        } catch {
            word = probe.hasRun ? "not-kept" : "not-begun"
        }
        FaultGuest.say("\(word) \(operation.number)")
    }
}
