// SPDX-License-Identifier: Apache-2.0

/// Runs windows: quiet ones, and ones under attack.
struct AttackRun {
    let guests: [SteadyGuest]
    let conductor: ConductorProcess
    let newcomer: Newcomer
    let attackers: AttackerProcess
    let patience: Duration

    /// Measures without an attack. Every request must be answered here too.
    func window(for length: Duration, into checks: inout BoundsChecks) async throws -> Latencies {
        let window = Window()
        self.guests.forEach { $0.count(in: window) }
        try await Task.sleep(for: length)
        self.guests.forEach { $0.count(in: nil) }
        let unanswered = await window.settle(self.patience)
        checks.check(unanswered == 0, "quiet: \(unanswered) requests had no answer in time")
        checks.check(
            window.wrong.isEmpty,
            "quiet: \(window.wrong.count) requests were not answered ok: \(window.wrong.first ?? "")")
        return window.latencies
    }

    /// Measures under an attack, and the state of the conductor when it is over.
    func attack(_ attack: any Attack.Type, for length: Duration, _ result: inout AttackResult) async throws {
        let before = try self.conductor.state()
        let window = Window()
        let start = ContinuousClock.now
        let peaks = Task { try await self.conductor.peaks() }
        let visits = Task { await self.newcomer.run() }
        self.guests.forEach { $0.count(in: window) }
        let tally = try await self.attackers.run(attack, for: length)
        self.guests.forEach { $0.count(in: nil) }
        let time = ContinuousClock.now - start
        let ended = try self.conductor.state()
        peaks.cancel()
        visits.cancel()
        let during = try await peaks.value
        let newcomer = await visits.value
        result.unanswered += await window.settle(self.patience)
        let after = try await self.conductor.settle(to: before.descriptors, patience: self.patience)
        result.wrong += window.wrong
        result.attacked.append(window.latencies)
        result.descriptors.append((before.descriptors, during.descriptors, after.descriptors))
        result.resident.append((before.resident, during.resident, after.resident))
        result.load.append(Double(ended.ticks - before.ticks) / 100 / (time / .seconds(1)))
        result.newcomer.times += newcomer.times
        result.newcomer.unfinished += newcomer.unfinished
        result.newcomer.failures += newcomer.failures
        result.newcomer.failure = result.newcomer.failure ?? newcomer.failure
        result.tally.merge(tally, uniquingKeysWith: +)
    }
}
