// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BrokerTesting
import FaultPoints
import FaultVolume
import FaultWorkload
import Foundation

/// Runs guests, two conductors and a RabbitMQ node, causes every fault that it knows, and compares the contents of the
/// queues with what the guests were promised (Docs/reliability.md).
@main
struct FaultBench: AsyncParsableCommand {
    @Option(help: "The number of rounds; each ends with an empty spool and the findings of the oracle.")
    var rounds: Int?
    @Option(help: "Begin rounds for this long.")
    var minutes: Double?
    @Option(help: "The duration of the faults in each round, in seconds.")
    var load = 15.0
    @Option(help: "Operations a second and guest.")
    var rate = 150.0
    @Option(help: ArgumentHelp("Break a promise on purpose.", valueName: "name"))
    var sabotage: String?
    @Flag(help: "Use no volume, and so no faults of the disk: for machines where none can be mounted.")
    var noVolume = false
    @Option(help: "The directory for all output; it must be empty.")
    var directory: String
    @Option(help: "The directory of the built programs.")
    var programs: String
    @Option(
        help: ArgumentHelp("Makes this fault only, and no kills at named points; may be repeated.", valueName: "fault"))
    var only: [Fault] = []

    func run() async throws {
        if let sabotage, Sabotage(rawValue: sabotage) == nil {
            throw ValidationError("--sabotage: one of \(Sabotage.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        if self.noVolume, let fault = self.only.first(where: \.needsVolume) {
            throw ValidationError("--only \"\(fault.rawValue)\" needs a volume, which --no-volume does without")
        }
        let began = ContinuousClock.now
        var report = BenchReport()
        try await withPrivateBroker { broker in
            let setting = BenchSetting(
                directory: self.directory, programs: self.programs, broker: broker,
                environment: self.sabotage.map { ["RELAY_SABOTAGE": $0] } ?? [:])
            try await setting.makeCertificates(guests: BenchRound.guestNames)
            try await self.withVolume { volume in
                let clock = try BenchClock(in: self.directory, programs: self.programs)
                let bench = BenchRound.SharedParts(setting: setting, volume: volume, clock: clock)
                var round = 0
                while self.goesOn(round, began) {
                    round += 1
                    let outcome = try await BenchRound(
                        shared: bench, load: .seconds(self.load), rate: self.rate, only: self.only,
                        isSabotaged: self.sabotage != nil
                    ).run()
                    report.add(outcome)
                    print("round \(round): \(outcome.line)")
                    fflush(nil)
                    // One detected broken promise is enough; the rest of the run would show no more.
                    if self.sabotage != nil, !report.isFlawless { break }
                }
            }
        }
        print(report.text(took: .now - began, at: try NamedPointKills(in: self.directory)))
        if !report.isFlawless { throw ExitCode(1) }
    }

    private func goesOn(_ round: Int, _ began: ContinuousClock.Instant) -> Bool {
        if let rounds { return round < rounds }
        return .now - began < .seconds((self.minutes ?? 3) * 60)
    }

    private func withVolume(_ body: (SpoolVolume?) async throws -> Void) async throws {
        guard !self.noVolume else { return try await body(nil) }
        let volume = try await SpoolVolume.make(in: URL(fileURLWithPath: self.directory), megabytes: 64)
        do {
            try await body(volume)
        } catch {
            await volume.destroy()
            throw error
        }
        await volume.destroy()
    }
}
