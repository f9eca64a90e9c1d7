// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import GuestAgent
import Logging

/// `notification-benchmark`: the time that `withNotification` adds to an operation. `Tests/Benchmarks/notification`
/// prepares it.
@main
struct BenchmarkProgram: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "notification-benchmark",
        abstract: "Measure the time that withNotification adds, and that of one write to the same disk.")

    @Option(
        help: "The directory that `conductor certificates` made, with the guest 2f4a9c1e-6d0b-4b7e-9d53-3f1f0c7a55aa.")
    var tls: String

    @Option(help: "The port of a running conductor at 127.0.0.1.")
    var port: Int

    @Option(help: "A directory on the disk to measure.")
    var directory: String

    @Option(help: "The number of turns of each measurement, of 50 operations each.")
    var rounds = 40

    @Flag(help: "Exit with status 1 when a bound is broken.")
    var check = false

    /// The instance of the operations, which the certificate names.
    private static let instance = "2f4a9c1e-6d0b-4b7e-9d53-3f1f0c7a55aa"
    /// The number of measurements in each turn.
    private static let turn = 50
    /// The number of operations at once, which shows what they share.
    private static let group = 64
    /// One operation is two transactions, one of which waits for the disk; the rest is work that does not wait.
    private static let operationBound = 5.0
    /// A running conductor uses processor time and causes writes (removals), so operations with one should be slower.
    private static let downBound = 2.0

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            // No process listens on port 1.
            let down = try await self.agent(port: 1, spool: "down")
            let up = try await self.agent(port: self.port, spool: "up")
            for agent in [down, up] { group.addTask { try await agent.run() } }
            let results = try await self.measure(down: down, up: up)
            group.cancelAll()
            print(results.table)
            if self.check { try self.judge(results) }
        }
    }

    private func agent(port: Int, spool: String) async throws -> GuestAgent {
        var logger = Logger(label: "guest") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .error
        let configuration = GuestAgent.Configuration(
            conductors: [ConductorAddress(host: "127.0.0.1", port: port)],
            certificateFile: "\(self.tls)/guest-\(Self.instance).pem",
            keyFile: "\(self.tls)/guest-\(Self.instance).key", caFile: "\(self.tls)/ca.pem")
        let outbox = try await Spool.open("\(self.directory)/spool-\(spool)", logger: logger)
        return try GuestAgent(configuration: configuration, outbox: outbox, logger: logger)
    }

    /// The measurements alternate, one operation each, so that other load of the machine and its disk affects all of
    /// them equally: many syncs in a row are slower on some disks than as many with pauses.
    private func measure(down: GuestAgent, up: GuestAgent) async throws -> Results {
        let append = try DiskWriter("\(self.directory)/append", rewrites: false)
        let rewrite = try DiskWriter("\(self.directory)/rewrite", rewrites: true)
        var results = Results()
        for round in 0...self.rounds {
            var turn = Results()
            for _ in 0..<Self.turn {
                turn.append.add(try await append.measure())
                turn.rewrite.add(try await rewrite.measure())
                turn.down.add(try await self.time { try await self.operation(down) })
                turn.up.add(try await self.time { try await self.operation(up) })
            }
            turn.downTogether.add(try await self.together(down))
            turn.upTogether.add(try await self.together(up))
            // The first time takes longer.
            if round > 0 { results.add(turn) }
        }
        return results
    }

    private func operation(_ agent: GuestAgent) async throws {
        let context = NotificationContext(
            operation: "database_create", requestID: "req-1", tenantID: "8a5f3ce8", clientIP: "192.0.2.7",
            payload: ["instance_id": .string(Self.instance), "dbname": "shop"])
        try await agent.withNotification(context) {}
    }

    /// Returns the time for each of many operations that run at once.
    private func together(_ agent: GuestAgent) async throws -> Duration {
        let rounds = 4
        let time = try await self.time {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<Self.group {
                    group.addTask { for _ in 0..<rounds { try await self.operation(agent) } }
                }
                try await group.waitForAll()
            }
        }
        return time / (Self.group * rounds)
    }

    private func time(_ body: () async throws -> Void) async throws -> Duration {
        let start = ContinuousClock.now
        try await body()
        return ContinuousClock.now - start
    }

    private func judge(_ results: Results) throws {
        var isBroken = false
        for (name, ratio, bound) in [
            ("b/a: an operation against a write", results.down.median / results.append.median, Self.operationBound),
            ("d: the conductor down against up", results.down.median / results.up.median, Self.downBound),
        ] {
            print("\(ratio <= bound ? "holds " : "BROKEN")  \(name): \(Results.text(ratio)) (at most \(bound))")
            if ratio > bound { isBroken = true }
        }
        if isBroken { throw ExitCode(1) }
    }
}
