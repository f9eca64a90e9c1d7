// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Dispatch
import Foundation
import GuestAgent
import Logging

/// A guest: opens its spool, creates outcomes, and delivers them until its standard input ends. It prints its progress
/// on standard output, one line for each step; see ``GuestLine``.
struct Guest: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run a guest in a process of its own.")

    /// The instance of the outcomes, which the certificate names.
    private static let instance = "2f4a9c1e-6d0b-4b7e-9d53-3f1f0c7a55aa"

    @OptionGroup var options: GuestOptions

    @Option(help: "The spool's directory.")
    var spool: String

    @Option(help: "The number of outcomes.")
    var make = 0

    @Option(help: "Print a line after this many.")
    var every = 10_000

    @Flag(help: "Wait until the spool is empty, and print a line.")
    var drain = false

    func run() async throws {
        var log = Logger(label: "guest") { StreamLogHandler.standardError(label: $0) }
        // Logs each answer that keeps an outcome waiting: the check counts them.
        log.logLevel = .debug
        var configuration = Spool.Configuration()
        configuration.maximumCount = max(configuration.maximumCount, self.make)
        configuration.maximumBytes = max(configuration.maximumBytes, self.make * 4096)
        let start = ContinuousClock.now
        let spool = try await Spool.open(self.spool, configuration: configuration, logger: log)
        let time = ContinuousClock.now - start
        let memory = try ProcessMemory(of: ProcessInfo.processInfo.processIdentifier)
        GuestLine.opened(time, resident: memory.resident).say()
        try await self.work(try GuestAgent(configuration: self.agent, outbox: spool, logger: log))
        try await spool.close()
    }

    private var agent: GuestAgent.Configuration {
        var agent = GuestAgent.Configuration(
            conductors: [ConductorAddress(host: "127.0.0.1", port: self.options.port)],
            certificateFile: "\(self.options.tls)/guest-\(Self.instance).pem",
            keyFile: "\(self.options.tls)/guest-\(Self.instance).key", caFile: "\(self.options.tls)/ca.pem")
        // Retries at short intervals, however long the broker is away.
        agent.maximumBackoff = .milliseconds(500)
        return agent
    }

    private func work(_ agent: GuestAgent) async throws {
        let delivery = Task { try await agent.run() }
        try await self.makeOutcomes(agent)
        if self.make > 0 { GuestLine.counts(try await agent.counts()).say() }
        if self.drain {
            while try await agent.counts().waiting > 0 { try await Task.sleep(for: .milliseconds(20)) }
            GuestLine.counts(try await agent.counts()).say()
        }
        await self.endOfInput()
        delivery.cancel()
        // Only then has the spool no owner.
        _ = await delivery.result
    }

    private func endOfInput() async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                _ = FileHandle.standardInput.readDataToEndOfFile()
                continuation.resume()
            }
        }
    }

    /// Creates as many outcomes at a time as one `fsync` can well include.
    private func makeOutcomes(_ agent: GuestAgent) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<self.make {
                if number >= 64 { try await group.next() }
                if number > 0, number % self.every == 0 { GuestLine.made(number).say() }
                group.addTask {
                    let context = NotificationContext(
                        operation: "database_create", requestID: "backlog-\(number)",
                        tenantID: "8a5f3ce8", clientIP: "192.0.2.7",
                        payload: ["instance_id": .string(Self.instance), "dbname": "shop"])
                    try await agent.withNotification(context) {}
                }
            }
            try await group.waitForAll()
        }
        if self.make > 0 { GuestLine.made(self.make).say() }
    }
}
