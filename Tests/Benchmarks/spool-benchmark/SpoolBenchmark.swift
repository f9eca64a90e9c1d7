// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BenchmarkFigures
import Foundation

/// `spool-benchmark`: compares the guest's spool with plain SQLite. `Tests/Benchmarks/spool` runs it.
@main
struct SpoolBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "spool-benchmark",
        abstract: "Measure the durable outcomes a second of the spool, and of plain SQLite with as many a transaction.")

    @Option(help: "An empty directory on the disk to measure.")
    var directory: String

    @Option(help: "The number of turns of each measurement.")
    var rounds = 15

    @Option(help: "The duration of each measurement, in milliseconds.")
    var milliseconds = 700

    @Flag(help: "Exit with status 1 when the goal is missed.")
    var check = false

    @Option(help: "Measure only this one, without rounds, for a profiler.")
    var only: String?

    /// The ratio of the spool's rate with many operations at once to plain SQLite's with as many in a transaction.
    private static let goal = 0.8

    func validate() throws {
        guard self.rounds > 0, self.milliseconds > 0 else {
            throw ValidationError("--rounds and --milliseconds must be at least 1.")
        }
    }

    func run() async throws {
        let kinds: [any MeasuredStore] = [
            DurableSpoolStore(concurrency: 1), PlainSQLiteStore(count: 1), DurableSpoolStore(concurrency: 64),
            PlainSQLiteStore(count: 64),
        ].filter { self.only == nil || $0.name == self.only }
        guard !kinds.isEmpty else { throw ValidationError("--only: there is spool-1, plain-1, spool-64 and plain-64.") }
        var figures: [String: [Figure]] = [:]
        for round in 0...self.rounds {
            for kind in kinds.shuffled() {
                // A new file each time: a larger one would give another result.
                let path = "\(self.directory)/\(kind.name)-\(round)"
                let figure = try await kind.measure(path, for: .milliseconds(self.milliseconds))
                try FileManager.default.removeItem(atPath: path)
                // The first time takes longer.
                if round > 0 { figures[kind.name, default: []].append(figure) }
            }
        }
        self.show(kinds.map(\.name), figures)
        if self.only == nil { try self.judge(figures) }
    }

    private func show(_ names: [String], _ figures: [String: [Figure]]) {
        print("| | outcomes/s, median | least | most | µs of processor each, median | least | most |")
        print("|---|---|---|---|---|---|---|")
        for name in names {
            let of = figures[name] ?? []
            print("| \(name) | \(Spread(of.map(\.rate)).cells(0)) | \(Spread(of.map(\.processor)).cells(1)) |")
        }
    }

    private func judge(_ figures: [String: [Figure]]) throws {
        print("\n| ratio of rates in a round | median | least | most |\n|---|---|---|---|")
        var last = Spread([])
        for (one, other) in [("spool-1", "plain-1"), ("spool-64", "plain-64")] {
            last = Spread((figures[one] ?? []).map(\.rate), over: (figures[other] ?? []).map(\.rate))
            print("| \(one)/\(other) | \(last.cells(2)) |")
        }
        guard self.check else { return }
        let holds = last.median >= Self.goal
        let verdict = holds ? "holds " : "BROKEN"
        print("\n\(verdict)  spool-64/plain-64: \(Spread.text(last.median, 2)) (at least \(Self.goal))")
        if !holds { throw ExitCode(1) }
    }
}
