// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BrokerTesting
import Foundation
import GuestAgent

/// Lets a backlog grow, opens it again, delivers it, and prints the cost of each step. `Tests/Faults/backlog` prepares
/// it.
struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the measurement. Exit with status 1 when a bound is broken.")

    @OptionGroup var options: GuestOptions

    @Option(help: "The number of outcomes in the backlog, at least 1000.")
    var outcomes = 100_000

    @Option(help: "The process id of the conductor, which publishes to the broker below.")
    var conductor: Int32

    @Option(help: "The directory of a node of deploy/private-rabbitmq that is down.")
    var broker: String

    @Option(help: "A directory for the spools and logs.")
    var work: String

    private var full: String { "\(self.work)/spool-full" }
    private var empty: String { "\(self.work)/spool-empty" }

    func validate() throws {
        guard self.outcomes >= 1000 else { throw ValidationError("--outcomes is at least 1000.") }
    }

    func run() async throws {
        var bounds = Bounds()
        try await self.pileUp(&bounds)
        try await self.openAgain(&bounds)
        let broker = try TestBroker(directory: URL(fileURLWithPath: self.broker))
        try await broker.restart()
        try await self.deliver(&bounds)
        try await self.readBack(broker, &bounds)
        try await self.reuse(&bounds)
        print(bounds.summary)
        if bounds.isBroken { throw ExitCode(1) }
    }

    /// Lets the guest create the backlog and keep offering it; its memory and the conductor's must not grow.
    private func pileUp(_ bounds: inout Bounds) async throws {
        let every = self.outcomes / 10
        print("The broker is down. Memory while \(self.outcomes) outcomes pile up, in KiB:")
        print(Table.row("outcomes", "guest RSS", "guest peak", "conductor RSS", "conductor peak"))
        let samples = try await self.guest(self.full, make: self.outcomes, every: every) { guest in
            let process = guest.process
            var samples: [MemorySample] = []
            let counts = try await guest.counts { made in
                let sample = try MemorySample(outcomes: made, guest: process, conductor: self.conductor)
                print(sample.row)
                samples.append(sample)
            }
            let answers = try await self.answers()
            bounds.check(answers > 0, "The guest was answered broker_unavailable, for \(answers) outcomes so far")
            // Like a crash: the backlog is what is on the disk.
            try guest.kill()
            bounds.check(
                counts.isBalanced && counts.waiting == self.outcomes,
                "Ledger: \(counts.begun) begun, \(counts.waiting) wait, \(counts.delivered) delivered, \(counts.setAside) set aside"
            )
            return samples
        }
        guard let start = samples.first(where: { $0.outcomes * 5 >= self.outcomes }), let end = samples.last else {
            throw CheckError("The guest made no outcomes.")
        }
        for (name, growth) in [
            ("guest's", end.guest.peak - start.guest.peak), ("conductor's", end.conductor.peak - start.conductor.peak),
        ] {
            bounds.check(
                growth < Bounds.growth,
                "The \(name) memory grew by \(growth) KiB from 20 % to 100 % of the backlog (below \(Bounds.growth))")
        }
    }

    /// Returns how many outcomes were offered and refused so far; waits at most a minute for the first.
    private func answers() async throws -> Int {
        for _ in 0..<600 {
            let log = try String(contentsOfFile: self.log, encoding: .utf8)
            let count = log.split(separator: "\n").filter { $0.contains("broker_unavailable") }.count
            if count > 0 { return count }
            try await Task.sleep(for: .milliseconds(100))
        }
        return 0
    }

    /// Compares a guest that starts with the backlog and one that starts with nothing.
    private func openAgain(_ bounds: inout Bounds) async throws {
        var (full, empty) = (OpeningSamples(), OpeningSamples())
        // The first round is not measured: it creates the empty spool, and recovers the other from the kill.
        for number in 0...5 {
            let openings = (try await self.opening(self.empty), try await self.opening(self.full))
            if number > 0 {
                empty.add(openings.0)
                full.add(openings.1)
            }
        }
        print("\nSpool.open, median of 5, and the memory then:")
        print(Table.row("spool", "ms", "RSS KiB"))
        print(Table.row("empty", empty.text, "\(empty.resident)"))
        print(Table.row("\(self.outcomes)", full.text, "\(full.resident)"))
        let limit = empty.time * Bounds.openingRatio + Bounds.openingAllowance
        bounds.check(full.time <= limit, "Opening the backlog took \(full.text) ms (at most \(limit.milliseconds))")
        bounds.check(
            full.resident - empty.resident < Bounds.growth,
            "Opening it took \(full.resident - empty.resident) KiB more than an empty one (below \(Bounds.growth))")
    }

    private func opening(_ spool: String) async throws -> Opening {
        try await self.guest(spool) { guest in
            guard case .opened(let time, let resident) = try await guest.next() else {
                throw CheckError("A guest did not say that its spool is open.")
            }
            return Opening(time: time, resident: resident)
        }
    }

    /// Restarts the broker, and checks that the whole backlog is delivered.
    private func deliver(_ bounds: inout Bounds) async throws {
        let start = ContinuousClock.now
        try await self.guest(self.full, drains: true) { guest in
            let counts = try await guest.counts()
            let took = ContinuousClock.now - start
            let sample = try MemorySample(outcomes: self.outcomes, guest: guest.process, conductor: self.conductor)
            print("\nDelivered in \(took.milliseconds) ms, the conductor's way back to the broker included:")
            print(Table.row("outcomes", "guest RSS", "guest peak", "conductor RSS", "conductor peak"))
            print(sample.row)
            bounds.check(
                counts.isBalanced && counts.delivered == self.outcomes && counts.begun == self.outcomes,
                "Ledger: \(counts.begun) begun, \(counts.waiting) wait, \(counts.delivered) delivered, \(counts.setAside) set aside"
            )
        }
    }

    /// Reads what a consumer finds in the real queue.
    private func readBack(_ broker: TestBroker, _ bounds: inout Bounds) async throws {
        let client = BrokerClient(broker)
        var found = Set<Int>()
        var messages = 0
        while let message = try await client.get("notification.info") {
            messages += 1
            if let number = BacklogNumber.find(in: message.body) { found.insert(number) }
        }
        bounds.check(
            found == Set(0..<self.outcomes),
            "The queue had \(messages) messages, of \(found.count) outcomes of \(self.outcomes)")
    }

    /// Checks that the next backlog uses the space that this one took.
    private func reuse(_ bounds: inout Bounds) async throws {
        let before = try SpoolSize(of: self.full)
        _ = try await self.guest(self.full, make: self.outcomes / 10, drains: true) { guest in
            // Once after they are made, and once after they are delivered.
            _ = try await guest.counts()
            return try await guest.counts()
        }
        let after = try SpoolSize(of: self.full)
        print("\nThe spool's file, delivered: \(before); after \(self.outcomes / 10) more: \(after)")
        bounds.check(before.used < Bounds.used, "\(before.used) bytes of it are in use (below \(Bounds.used))")
        bounds.check(after.total <= before.total + Bounds.used, "The next outcomes took the room of the first")
    }

    private var log: String { "\(self.work)/guest.log" }

    private func guest<Result: Sendable>(
        _ spool: String, make: Int = 0, every: Int = 10_000, drains: Bool = false,
        _ body: (inout RunningGuest) async throws -> Result
    ) async throws -> Result {
        var arguments = ["--tls", self.options.tls, "--port", "\(self.options.port)", "--spool", spool]
        arguments += ["--make", "\(make)", "--every", "\(every)"]
        if drains { arguments.append("--drain") }
        return try await RunningGuest.run(arguments, log: self.log, body)
    }
}
