// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BrokerTesting
import Foundation

/// Measures well-behaved guests in quiet and under each attack. Exit status 1 when a bound does not hold.
struct Measure: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the measurement. Exit with status 1 when a promise is broken.")

    @OptionGroup var options: TargetOptions

    @Option(help: "The process id of the conductor.")
    var conductor: Int32

    @Option(help: "A directory for the attackers' log.")
    var work: String

    @Option(
        help: "The directory of the broker's node, to empty its queue between attacks; without one nothing is emptied.")
    var broker: String?

    @Option(help: "The attackers' processors, in the format of taskset.")
    var attackersProcessors: String

    @Option(help: "The duration of each attack, and of the quiet window before it.")
    var seconds = 10.0

    @Option(help: "The number of times that each attack is repeated.")
    var repetitions = 3

    @Option(help: "The number of connections that the attack many-connections opens each time.")
    var connections = 10_000

    @Option(help: "The number of well-behaved guests.")
    var guests = 8

    @Option(help: "The number of requests a second of each of them.")
    var rate = 50

    @Flag(help: "Measure one quiet window for all attacks, and print times without checking their bounds.")
    var short = false

    @Flag(help: "Run the attacks that need a slow broker instead of the others; the conductor's broker is slow.")
    var slowBroker = false

    @Option(help: "Run only the attacks with these names.")
    var only: [String] = []

    /// The time in which answers must arrive, and descriptors be closed, after an attack. A guest that has exceeded its
    /// share is not read until the debt is paid off, so the end of its connection is not noticed before.
    private static let patience = Duration.seconds(60)

    func validate() throws {
        for name in self.only where Attacks.named(name) == nil {
            let names = Attacks.all.map { $0.name }.joined(separator: ", ")
            throw ValidationError("There is no attack \(name); there are \(names).")
        }
        guard self.seconds > 0, self.repetitions > 0 else { throw ValidationError("Nothing is measured in no time.") }
    }

    func run() async throws {
        let checks = try await withThrowingTaskGroup(of: Void.self) { group in
            let guests = try (0..<self.guests).map {
                try SteadyGuest($0, of: self.guests, options: self.options, rate: self.rate)
            }
            for guest in guests { group.addTask { await guest.run() } }
            defer { group.cancelAll() }
            return try await self.measure(guests)
        }
        guard checks.broken.isEmpty else {
            Report.say("\nWhat did not hold:\n" + checks.broken.map { "- \($0)" }.joined(separator: "\n"))
            throw ExitCode(1)
        }
        Report.say("\nAll of it held.")
    }

    private func measure(_ guests: [SteadyGuest]) async throws -> BoundsChecks {
        let run = AttackRun(
            guests: guests, conductor: ConductorProcess(pid: self.conductor),
            newcomer: try Newcomer(options: self.options),
            attackers: AttackerProcess(
                options: self.options, processors: self.attackersProcessors, connections: self.connections,
                log: "\(self.work)/attackers.log"),
            patience: Self.patience)
        var checks = BoundsChecks()
        // The first window opens connections, fills tables (limits.remembered_ids), and runs all code for the first
        // time.
        _ = try await run.window(for: .seconds(self.short ? 3 : 10), into: &checks)
        let length = Duration.seconds(self.seconds)
        let first = try await run.window(for: self.short ? .seconds(5) : length, into: &checks)
        Report.say(
            "quiet: p50 \(Report.text(first.median)), p99 \(Report.text(first.p99)), max \(Report.text(first.maximum)),"
                + " \(first.count) requests, \(Report.text(kibibytes: try run.conductor.state().resident))")
        Report.say(AttackResult.head)
        let chosen = Attacks.all.filter {
            $0.needsSlowBroker == self.slowBroker && (self.only.isEmpty || self.only.contains($0.name))
        }
        var results: [(attack: any Attack.Type, result: AttackResult)] = []
        for attack in chosen {
            var result = AttackResult(name: attack.name)
            for _ in 0..<self.repetitions {
                if !self.short { result.quiet.append(try await run.window(for: length, into: &checks)) }
                try await run.attack(attack, for: length, &result)
            }
            Report.say(result.row(quiet: self.short ? first : .joined(result.quiet)))
            results.append((attack, result))
            if let broker {
                try await BrokerClient(try TestBroker(directory: URL(fileURLWithPath: broker))).purge(
                    "notification.info")
            }
        }
        Report.say("\nWhat the attackers counted:")
        for (_, result) in results { Report.say("- \(result.name): \(result.counted)") }
        let quiets = [first] + results.flatMap(\.result.quiet)
        // Nine in ten: one window in which the machine was busy must not excuse every attack.
        let p99s = quiets.map(\.p99).sorted()
        let usual = p99s[(p99s.count - 1) * 9 / 10]
        let all = Latencies.joined(quiets)
        let end = try run.conductor.state()
        Report.say(
            "\nquiet, \(quiets.count) windows: p50 \(Report.text(all.median)), p99 \(Report.text(all.p99)), max"
                + " \(Report.text(all.maximum)); p99 of single windows"
                + " \(Report.text(p99s[0])) to \(Report.text(p99s[p99s.count - 1])), nine in ten at most \(Report.text(usual))"
        )
        Report.say("at the end: \(end.descriptors) descriptors, \(Report.text(kibibytes: end.resident))")
        for (attack, result) in results {
            checks.judge(
                result, attack, quiet: self.short ? first : .joined(result.quiet), usualQuiet: self.short ? nil : usual)
        }
        return checks
    }
}
