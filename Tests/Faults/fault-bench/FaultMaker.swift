// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import FaultVolume
import Foundation
import NIOConcurrencyHelpers

/// Causes faults, one after another; those of the network last while the next ones are caused. Repairs all of them at
/// the end.
final class FaultMaker: Sendable {
    private let shared: BenchRound.SharedParts
    private let guests: [BenchGuest]
    private let conductors: [BenchConductor]
    private let only: [Fault]
    private let counts = NIOLockedValueBox<(made: [Fault: Int], brokerKills: Int)>(([:], 0))

    init(
        shared: BenchRound.SharedParts, guests: [BenchGuest], conductors: [BenchConductor], only: [Fault]
    ) {
        self.shared = shared
        self.guests = guests
        self.conductors = conductors
        self.only = only
    }

    /// The number of times that each fault was caused.
    var made: [Fault: Int] { self.counts.withLockedValue { $0.made } }
    /// The number of times that the broker was killed.
    var brokerKills: Int { self.counts.withLockedValue { $0.brokerKills } }

    /// Causes faults for this long, repairs everything, and returns.
    func make(for load: Duration) async throws {
        var generator = SystemRandomNumberGenerator()
        let end = ContinuousClock.now + load
        try await withThrowingTaskGroup(of: Void.self) { lasting in
            while .now < end {
                try await Task.sleep(for: .milliseconds(Int.random(in: 20...400)))
                let fault =
                    self.only.randomElement() ?? .random(withVolume: self.shared.volume != nil, using: &generator)
                if let (proxy, mode) = fault.disturbance, let conductor = self.conductors.randomElement() {
                    let proxy = proxy(conductor)
                    proxy.set(mode)
                    lasting.addTask {
                        try? await Task.sleep(for: .milliseconds(Int.random(in: 100...4500)))
                        proxy.set(.forward)
                    }
                } else {
                    guard try await self.make(fault) else { continue }
                }
                self.counts.withLockedValue { $0.made[fault, default: 0] += 1 }
            }
            lasting.cancelAll()
        }
        self.mendNetwork()
        try self.shared.clock.set(offBy: 0)
    }

    private func mendNetwork() {
        for conductor in self.conductors {
            conductor.guests.set(.forward)
            conductor.broker.set(.forward)
        }
    }

    /// - Returns: false if there was nothing to disturb at that moment.
    private func make(_ fault: Fault) async throws -> Bool {
        switch fault {
        case .killGuest: return self.guests.randomElement()?.process.kill() ?? false
        case .killConductor: return self.conductors.randomElement()?.process.kill() ?? false
        case .killBroker:
            try await self.shared.setting.broker.kill()
            self.counts.withLockedValue { $0.brokerKills += 1 }
            try await self.shared.setting.broker.restart()
        case .restartBroker: try await self.shared.setting.broker.restart()
        case .cutGuests: return (self.conductors.randomElement()?.guests.cut() ?? 0) > 0
        case .cutBroker: return (self.conductors.randomElement()?.broker.cut() ?? 0) > 0
        case .halfOpenGuests, .blackHoleGuests, .delayGuests, .halfOpenBroker, .blackHoleBroker, .slowBroker:
            // The caller causes these, because they last.
            return false
        case .deleteQueue: return try await self.deleteQueue()
        case .alarm:
            try await self.shared.setting.broker.control("set_vm_memory_high_watermark", "0.0000001")
            try await self.shared.setting.broker.control("set_vm_memory_high_watermark", "0.4")
        case .clockJump:
            // 14 hours ahead, like a hardware clock in local time; a day is the default of `limits.clock_skew`.
            try self.shared.clock.set(offBy: [50_400, -7200, 3600, -600, 0].randomElement() ?? 0)
        case .powerCut, .fullDisk, .readOnlyDisk, .slowDisk: try await self.disturbDisk(fault)
        }
        return true
    }

    /// Takes the messages from a queue, and deletes it at a moment when it is empty: the relay does not promise to keep
    /// what a consumer's mistake destroys.
    ///
    /// The conductors are stopped during this. RabbitMQ takes some milliseconds to delete a queue, confirms messages that
    /// are sent to it in that time, and loses them: at 300 messages a second, three deletions of four lost one (3.10).
    private func deleteQueue() async throws -> Bool {
        guard let queue = BenchQueues.names.randomElement() else { return false }
        for conductor in self.conductors { conductor.process.standStill() }
        // Bytes that a slow network still delays would arrive at the wrong moment.
        for conductor in self.conductors { conductor.broker.set(.forward) }
        defer { for conductor in self.conductors { conductor.process.goOn() } }
        for _ in 0..<20 {
            guard try await self.shared.queues.empty(queue) else { return false }
            // Messages that the conductors have already sent arrive now.
            try await Task.sleep(for: .milliseconds(200))
            if await self.shared.queues.delete(queue) { return true }
        }
        return false
    }

    private func disturbDisk(_ fault: Fault) async throws {
        guard let volume = self.shared.volume, let guest = self.guests.last else { return }
        switch fault {
        case .powerCut:
            let process = guest.process.hold()
            defer { guest.process.release() }
            do {
                try await volume.powerCut(of: process.map { [$0] } ?? [])
            } catch  where process != nil {
                // The guest reached a fault point of its own just then.
                try await volume.powerCut(of: [])
            }
        case .fullDisk:
            try await volume.fill()
            try await Task.sleep(for: .milliseconds(Int.random(in: 50...1000)))
            try volume.free()
        case .readOnlyDisk:
            do {
                let process = guest.process.hold()
                defer { guest.process.release() }
                do {
                    try await volume.makeReadOnly(before: process.map { [$0] } ?? [])
                } catch  where process != nil {
                    // The guest reached a fault point of its own just then.
                    try await volume.makeReadOnly()
                }
            }
            try await Task.sleep(for: .milliseconds(Int.random(in: 50...1000)))
            // As on a real disk that failed, only a new mount makes it writable again.
            _ = guest.process.hold()
            defer { guest.process.release() }
            guest.process.kill()
            try await volume.remount()
        case .slowDisk:
            try await volume.freeze()
            try await Task.sleep(for: .milliseconds(Int.random(in: 50...1000)))
            try await volume.thaw()
        default: break
        }
    }
}
