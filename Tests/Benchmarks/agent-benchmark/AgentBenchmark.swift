// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BenchmarkFigures
import Foundation
import GuestAgent
import Logging

/// `agent-benchmark`: the processor time of a notification in the guest and in the conductor, for
/// `Tests/Benchmarks/agent`.
@main
struct AgentBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent-benchmark",
        abstract: "Measure the processor time of a notification, in the agent with its spool and in the conductor.")

    @Option(help: "The directory of `conductor certificates`, with that of guest \(AgentBenchmark.instance).")
    var tls: String

    @Option(help: "The port of a conductor at 127.0.0.1.")
    var port: Int

    @Option(help: "The conductor's process.")
    var conductor: Int32

    @Option(help: "A directory on the disk of the spool.")
    var directory: String

    @Option(help: "The number of turns of each measurement.")
    var rounds = 9

    @Option(help: "Operations in each measurement.")
    var operations = 4096

    /// The instance of the operations, which the certificate names.
    private static let instance = "2f4a9c1e-6d0b-4b7e-9d53-3f1f0c7a55aa"
    /// The time limit for the delivery of all outcomes.
    private static let gracePeriod = Duration.seconds(120)

    private struct Failure: Error, CustomStringConvertible { let description: String }

    private struct Figure: Sendable {
        var agent, conductor, rate: Double
    }

    func validate() throws {
        guard self.rounds > 0, self.operations >= 64 else {
            throw ValidationError("--rounds must be at least 1, and --operations at least 64.")
        }
    }

    func run() async throws {
        var logger = Logger(label: "guest") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .error
        let configuration = GuestAgent.Configuration(
            conductors: [ConductorAddress(host: "127.0.0.1", port: self.port)],
            certificateFile: "\(self.tls)/guest-\(Self.instance).pem",
            keyFile: "\(self.tls)/guest-\(Self.instance).key", caFile: "\(self.tls)/ca.pem")
        let spool = try await Spool.open("\(self.directory)/spool", logger: logger)
        let agent = try GuestAgent(configuration: configuration, outbox: spool, logger: logger)
        try await withThrowingTaskGroup(of: [Int: [Figure]]?.self) { group in
            group.addTask {
                try await agent.run()
                return nil
            }
            group.addTask { try await self.measure(agent) }
            guard let figures = try await group.next() ?? nil else {
                throw Failure(description: "The agent ended before all was measured.")
            }
            group.cancelAll()
            self.show(figures)
        }
        try await spool.close()
    }

    /// Returns the figures by the number of operations at once.
    private func measure(_ agent: GuestAgent) async throws -> [Int: [Figure]] {
        var figures: [Int: [Figure]] = [:]
        for round in 0...self.rounds {
            for concurrency in [1, 64].shuffled() {
                let figure = try await self.measure(agent, concurrency)
                // The first time takes longer.
                if round > 0 { figures[concurrency, default: []].append(figure) }
            }
        }
        return figures
    }

    /// Runs empty operations, and waits until the conductor has answered all of them.
    private func measure(_ agent: GuestAgent, _ concurrency: Int) async throws -> Figure {
        let each = self.operations / concurrency
        let before = try await agent.counts()
        let (start, own) = (ContinuousClock.now, ProcessorTime.own())
        let conductor = try ProcessorTime.used(by: self.conductor)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<concurrency {
                group.addTask { for _ in 0..<each { try await Self.operation(agent) } }
            }
            try await group.waitForAll()
        }
        let expected = before.delivered + each * concurrency
        while try await agent.counts().delivered < expected {
            guard ContinuousClock.now - start < Self.gracePeriod else {
                throw Failure(
                    description: """
                        Not all was delivered within \(Self.gracePeriod): \(try await agent.counts()). See the conductor's \
                        log.
                        """)
            }
            try await Task.sleep(for: .milliseconds(5))
        }
        let count = Double(each * concurrency)
        return Figure(
            agent: (ProcessorTime.own() - own) / count,
            conductor: (try ProcessorTime.used(by: self.conductor) - conductor) / count,
            rate: count / ((ContinuousClock.now - start) / .seconds(1)))
    }

    private static func operation(_ agent: GuestAgent) async throws {
        let context = NotificationContext(
            operation: "database_create", requestID: "req-9b1a3f1c-6d0b-4b7e-9d53-3f1f0c7a55aa",
            tenantID: "8a5f3ce8d1c14c0fae5c1c5b0c7a55aa", clientIP: "192.0.2.7",
            payload: ["instance_id": .string(Self.instance), "dbname": "shop"])
        try await agent.withNotification(context) {}
    }

    private func show(_ figures: [Int: [Figure]]) {
        print("| operations at once | | median | least | most |\n|---|---|---|---|---|")
        for (concurrency, of) in figures.sorted(by: { $0.key < $1.key }) {
            print("| \(concurrency) | agent, µs of processor each | \(Spread(of.map(\.agent)).cells(1)) |")
            print("| \(concurrency) | conductor, µs of processor each | \(Spread(of.map(\.conductor)).cells(1)) |")
            print("| \(concurrency) | delivered a second | \(Spread(of.map(\.rate)).cells(0)) |")
        }
    }
}
