// SPDX-License-Identifier: Apache-2.0

import FaultVolume
import FaultWorkload
import Foundation
import NIOConcurrencyHelpers

/// One round: everything runs and is disturbed for a while; then it recovers, drains, ends, and is judged.
struct BenchRound {
    /// The guests: the first one has a new spool in each round, the clock of the second one jumps, and the spool of the
    /// last one is on the volume.
    static let guestNames = ["alpha", "beta", "gamma"]

    /// The parts of the bench that outlive the rounds.
    final class SharedParts: Sendable {
        let setting: BenchSetting
        let volume: SpoolVolume?
        let clock: BenchClock
        let queues: BenchQueues
        fileprivate let nextNumbers = NIOLockedValueBox<[String: Int]>([:])

        init(setting: BenchSetting, volume: SpoolVolume?, clock: BenchClock) {
            self.setting = setting
            self.volume = volume
            self.clock = clock
            self.queues = BenchQueues(setting.broker)
        }

        func spool(of guest: String) -> String {
            if let volume, guest == BenchRound.guestNames.last { return "\(volume.path)/spool" }
            let isNew = guest == BenchRound.guestNames.first
            return "\(self.setting.directory)/spool-\(guest)" + (isNew ? "-\(UUID().uuidString.prefix(8))" : "")
        }
    }

    let shared: SharedParts
    let load: Duration
    let rate: Double
    let only: [Fault]
    let isSabotaged: Bool
    /// The time that guests have to deliver all outcomes after the last fault is repaired.
    private static let drainLimit = Duration.seconds(120)

    func run() async throws -> BenchReport.Round {
        let setting = self.shared.setting
        let conductors = [
            try await BenchConductor(1, setting, usesFaultPoints: self.only.isEmpty),
            try await BenchConductor(2, setting, usesFaultPoints: self.only.isEmpty),
        ]
        let guests = Self.guestNames.enumerated().map { index, name in
            self.guest(name, index, conductors)
        }
        var round = BenchReport.Round()
        let faults = FaultMaker(
            shared: self.shared, guests: guests, conductors: conductors, only: self.only)
        let tasks = (conductors.map(\.process) + guests.map(\.process)).map { process in
            Task { try await process.run() }
        }
        do {
            try await faults.make(for: self.load)
            for (what, processes, part) in [
                ("guests", guests.map(\.process), tasks.dropFirst(conductors.count)),
                ("conductors", conductors.map(\.process), tasks.prefix(conductors.count)),
            ] {
                for process in processes { process.stop() }
                if try await !self.end(Array(part), processes, within: Self.drainLimit) {
                    round.problems.append("the \(what) did not end within \(Self.drainLimit)")
                }
            }
        } catch {
            for process in conductors.map(\.process) + guests.map(\.process) { process.abandon() }
            // None of these processes may outlive the bench.
            for task in tasks { _ = await task.result }
            throw error
        }
        round.faults = faults.made
        round.kills = (conductors.map(\.process) + guests.map(\.process)).reduce(faults.brokerKills) { $0 + $1.kills }
        for conductor in conductors {
            let ledger = conductor.ledger ?? "it said none"
            if !ledger.contains("balanced=true") || !ledger.contains("in_flight=0 ") {
                round.problems.append("a conductor's ledger does not balance: \(ledger)")
            }
            await conductor.guests.close()
            await conductor.broker.close()
        }
        try await self.judge(guests, &round)
        return round
    }

    /// Waits for processes that were asked to end, and kills those that do not end in time.
    ///
    /// - Returns: whether all ended in time.
    private func end(
        _ tasks: [Task<BenchProcess.Ending, any Error>], _ processes: [SupervisedProcess], within limit: Duration
    ) async throws -> Bool {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                for task in tasks { _ = try await task.value }
                return true
            }
            group.addTask {
                try await Task.sleep(for: limit)
                // Here, because the group waits for the other child, which waits for the processes, even if it is
                // cancelled.
                for process in processes { process.abandon() }
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }

    private func guest(_ name: String, _ index: Int, _ conductors: [BenchConductor]) -> BenchGuest {
        let setting = self.shared.setting
        var environment = setting.environment
        if name == Self.guestNames[1] {
            environment.merge(self.shared.clock.environment) { $1 }
        }
        let ports = conductors.map(\.guests.port)
        return BenchGuest(
            BenchGuest.Place(
                program: setting.program("fault-guest"), name: name, spool: self.shared.spool(of: name),
                certificates: setting.certificates, conductors: index % 2 == 0 ? ports : ports.reversed(),
                log: "\(setting.directory)/\(name).log", rate: self.rate, environment: environment,
                losesPower: self.shared.volume != nil && name == Self.guestNames.last, isNew: index == 0),
            first: self.shared.nextNumbers.withLockedValue { $0[name] ?? 1 }, usesFaultPoints: self.only.isEmpty)
    }

    private func judge(_ guests: [BenchGuest], _ round: inout BenchReport.Round) async throws {
        var oracle = Oracle()
        for guest in guests {
            self.shared.nextNumbers.withLockedValue { $0[guest.name] = guest.next }
            for (operation, state) in guest.takeSaid() { oracle.said(operation, state) }
            guard let ledger = guest.ledger else {
                round.problems.append("\(guest.name) ended without a ledger")
                continue
            }
            if !ledger.contains("running=0 waiting=0") || !ledger.contains("set_aside=0 balanced=true") {
                round.problems.append("\(guest.name) did not deliver all, or its ledger does not balance: \(ledger)")
            }
        }
        for (queue, body) in try await self.shared.queues.takeAll() { self.hear(body, queue, &oracle) }
        round.findings = oracle.findings
        if round.findings.kept == 0 { round.problems.append("nothing was promised, so nothing was shown") }
    }

    private func hear(_ body: [UInt8], _ queue: String, _ oracle: inout Oracle) {
        do throws(AlterationError) {
            oracle.received(try ObservedNotification(body: body, queue: queue))
        } catch {
            oracle.received(error)
        }
    }
}
