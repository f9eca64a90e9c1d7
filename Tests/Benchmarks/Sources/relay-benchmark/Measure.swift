// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BenchmarkFigures
import Foundation

/// Measures the rows in rounds, each round in another order, and prints the table.
struct Measure: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Measure the rows and print the table.")

    @Option(help: "The directory of the node of deploy/private-rabbitmq.")
    var node: String

    @Option(help: "The node's process.")
    var broker: Int32

    @Option(help: "A running conductor, as NAME:PORT:PROCESS.")
    var conductor: [String]

    @Option(help: "The process of the conductor in oslo.messaging.")
    var osloConductor: Int32

    @Option(help: "The Python interpreter that has oslo.messaging.")
    var python: String

    @Option(help: "oslo_relay.py.")
    var osloScript: String

    @Option(help: "The directory of the guests' certificates.")
    var tls: String

    @Option(help: "The number of rounds.")
    var rounds = 5

    @Option(help: "The duration of each row in each round, in seconds.")
    var seconds = 3.0

    /// The size of the conductor's message for a guest's report, as the queue counts it.
    @Option(help: "The bytes of a message that is published directly; by default those of the conductor's messages.")
    var messageBytes = 1310

    @Option(help: "Measure the conductor with few and many connections too, and write the figures for plot.py here.")
    var figures: String?

    @OptionGroup var choice: RowChoice

    func validate() throws {
        guard self.rounds > 0, self.seconds > 0 else { throw ValidationError("Nothing is measured in no time.") }
    }

    func run() throws {
        let bench = try self.bench
        let rows = try self.choice.rows(withSweep: self.figures != nil)
        var rounds: [String: Rounds] = [:]
        // Once without a result: queues are declared, and all code runs for the first time.
        for row in rows { _ = try bench.warmedUp.measure(row.way) }
        for _ in 1...self.rounds {
            for row in rows.shuffled() {
                rounds[row.name, default: Rounds()].results.append(try bench.measure(row.way))
            }
        }
        Self.say(
            "| way | a second | of the reference | p50 µs | p99 µs | p99.9 µs | p50, p99 of the reference"
                + " | conductor µs | generator µs | broker µs |")
        Self.say("|---|---|---|---|---|---|---|---|---|---|")
        for row in rows {
            guard let own = rounds[row.name] else { continue }
            let reference = row.reference.flatMap { rounds[$0] }
            let cells = [
                "`\(row.name)`", own.spread(\.rate).text(0), reference.map { own.ratio(to: $0, \.rate).text(2) } ?? "",
                own.spread(\.p50).text(0), own.spread(\.p99).text(0), own.spread(\.p999).text(0),
                reference.map { "\(own.ratio(to: $0, \.p50).text(2)), \(own.ratio(to: $0, \.p99).text(2))" } ?? "",
                own.spread { $0.conductor / $0.messages }.text(1), own.spread { $0.processor / $0.messages }.text(1),
                own.spread { $0.broker / $0.messages }.text(1),
            ]
            Self.say("| " + cells.joined(separator: " | ") + " |")
        }
        if let figures = self.figures {
            try ConnectionSweep.figures(of: rounds).write(toFile: figures, atomically: true, encoding: .utf8)
        }
        guard let relay = rounds["relay-classic-16x64"], let trove = rounds["trove"] else { return }
        Self.say(
            "\nrelay-classic-16x64 against trove: \(relay.ratio(to: trove, \.rate).text(1)) times as many a second;"
                + " of the conductor's processor time a message trove takes"
                + " \(trove.ratio(to: relay) { $0.conductor / $0.messages }.text(1)) times as much")
    }

    private var bench: Bench {
        get throws {
            var conductors: [String: Bench.Conductor] = [:]
            for text in self.conductor {
                let parts = text.split(separator: ":")
                guard parts.count == 3, let port = Int(parts[1]), let process = Int32(parts[2]) else {
                    throw ValidationError("--conductor is NAME:PORT:PROCESS, not \(text).")
                }
                conductors[String(parts[0])] = .init(port: port, process: process)
            }
            var node: [String: String] = [:]
            for line in try String(contentsOfFile: "\(self.node)/env", encoding: .utf8).split(separator: "\n") {
                let parts = line.split(separator: "=", maxSplits: 1)
                guard parts.count == 2 else { continue }
                node[String(parts[0])] = parts[1].trimmingCharacters(in: CharacterSet(charactersIn: "'\""))
            }
            let programs = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            return Bench(
                node: node, broker: self.broker, conductors: conductors,
                oslo: (self.osloConductor, self.python, self.osloScript), certificates: self.tls,
                programs: programs.path,
                seconds: self.seconds, messageBytes: self.messageBytes)
        }
    }

    private static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
}

extension Bench {
    /// The same bench with a duration of half a second.
    var warmedUp: Bench {
        var bench = self
        bench.seconds = 0.5
        return bench
    }
}
