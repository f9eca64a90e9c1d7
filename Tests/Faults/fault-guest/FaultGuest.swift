// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import FaultWorkload
import Foundation
import GuestAgent
import Logging
import ServiceLifecycle
import UnixSignals

/// A guest of the fault bench: runs planned operations until SIGTERM, delivers all outcomes, and ends with its ledger.
///
/// On standard output it prints `ready` once it handles signals; `begun N` before an operation, `running N` in the
/// operation, and its result afterwards: `kept N`, `refused N`, `not-begun N`, `not-kept N`; and at the end `ledger`
/// with the outbox's counts. Exit status 75: the spool could not be opened at the moment.
@main
struct FaultGuest: AsyncParsableCommand {
    @Option var name: String
    @Option var spool: String
    @Option var certificates: String
    @Option var conductor: [String] = []
    /// The number of the first operation.
    @Option var first = 1
    /// The number of operations that run at once.
    @Option var concurrency = 8
    /// The approximate number of operations begun a second.
    @Option var rate = 200.0
    /// The time to go on delivering after SIGTERM, in seconds.
    @Option var drain = 90

    func run() async throws {
        var configuration = GuestAgent.Configuration(
            conductors: self.conductor.compactMap { ConductorAddress($0) },
            certificateFile: "\(self.certificates)/guest-\(self.name).pem",
            keyFile: "\(self.certificates)/guest-\(self.name).key", caFile: "\(self.certificates)/ca.pem")
        configuration.answerTimeout = .seconds(4)
        configuration.connectTimeout = .seconds(2)
        configuration.minimumBackoff = .milliseconds(50)
        configuration.maximumBackoff = .seconds(1)
        configuration.drainTimeout = .seconds(self.drain)
        let logger = Logger(label: self.name) { label in
            ProbingLogHandler(StreamLogHandler.standardError(label: label))
        }
        let spool: Spool
        do {
            var limits = Spool.Configuration()
            // Less than the time for which the disk sometimes hangs.
            limits.writeTimeout = .milliseconds(500)
            spool = try await Spool.open(self.spool, configuration: limits, logger: logger)
        } catch let error as OutboxError {
            logger.error("The spool cannot be opened", metadata: ["error": "\(error)"])
            throw ExitCode(75)
        }
        let agent = try GuestAgent(configuration: configuration, outbox: spool, logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: agent), .init(service: Workload(guest: self, agent: agent))],
                gracefulShutdownSignals: [.sigterm], logger: logger))
        try await group.run()
        let counts = try await agent.counts()
        Self.say(
            "ledger begun=\(counts.begun) running=\(counts.running) waiting=\(counts.waiting) "
                + "delivered=\(counts.delivered) set_aside=\(counts.setAside) balanced=\(counts.isBalanced)")
        try await spool.close()
    }

    /// Prints a line with one write, so that a kill leaves no partial line.
    static func say(_ line: String) {
        try? FileHandle.standardOutput.write(contentsOf: Data("\(line)\n".utf8))
    }
}
