// SPDX-License-Identifier: Apache-2.0

import BenchmarkFigures
import Foundation

/// The running processes, and one measurement of a row of the table.
struct Bench {
    /// A running conductor.
    struct Conductor {
        var port: Int
        var process: Int32
    }

    /// One way of sending messages.
    enum Way {
        /// The C publisher: the type of the queue, and the maximum number of unconfirmed messages.
        case direct(queue: String, window: Int)
        /// The C guests, through the conductor with that name.
        case relay(conductor: String, connections: Int, window: Int)
        /// This many through oslo.messaging, as Trove does: cast to a conductor in Python, which publishes with its
        /// Notifier.
        case trove(messages: Int)
    }

    /// The node's variables (`deploy/private-rabbitmq`).
    var node: [String: String]
    /// The node's process.
    var broker: Int32
    /// The conductors by name: `noop`, `classic`, `quorum`.
    var conductors: [String: Conductor]
    /// The oslo.messaging conductor, and the Python that runs its guest.
    var oslo: (process: Int32, python: String, script: String)
    /// The directory of the guests' certificates.
    var certificates: String
    /// The directory of the load generators.
    var programs: String
    /// The duration of one measurement.
    var seconds: Double
    /// The size of a message that is published directly, which is about that of a relayed report.
    var messageBytes: Int

    /// Returns the queue to which a conductor publishes ends.
    private static func queue(of conductor: String) -> String { "bench_\(conductor).info" }

    func measure(_ way: Way) throws -> LoadResult {
        switch way {
        case .direct(let queue, let window):
            let before = try ProcessorTime.used(by: self.broker)
            let generator = try self.publisher("direct_\(queue)", queue, window: window, seconds: self.seconds)
            var result = try LoadResult(generator.finish())
            result.broker = try ProcessorTime.used(by: self.broker) - before
            return result
        case .relay(let name, let connections, let window):
            guard let conductor = self.conductors[name] else { throw LoadError(description: "No conductor \(name).") }
            if name != "noop" { _ = try self.publisher(Self.queue(of: name), name, window: 1, seconds: 0).finish() }
            let guests = try LoadGenerator(
                "\(self.programs)/guest-load",
                [
                    "127.0.0.1", "\(conductor.port)", self.certificates, "\(connections)", "\(window)",
                    "\(self.seconds)",
                ])
            return try self.measure(guests, through: conductor.process)
        case .trove(let messages):
            let guest = try LoadGenerator(self.oslo.python, [self.oslo.script, "load", "\(messages)"])
            return try self.measure(guest, through: self.oslo.process)
        }
    }

    private func measure(_ guests: LoadGenerator, through conductor: Int32) throws -> LoadResult {
        try guests.waitUntilReady()
        let before = try ProcessorTime.used(by: conductor)
        let brokerBefore = try ProcessorTime.used(by: self.broker)
        try guests.begin()
        var result = try LoadResult(guests.finish())
        result.conductor = try ProcessorTime.used(by: conductor) - before
        result.broker = try ProcessorTime.used(by: self.broker) - brokerBefore
        return result
    }

    /// - Parameter seconds: 0 only to empty the queue.
    private func publisher(_ queue: String, _ type: String, window: Int, seconds: Double) throws -> LoadGenerator {
        try LoadGenerator(
            "\(self.programs)/direct-publisher",
            [
                "127.0.0.1", self.node["RABBITMQ_PORT", default: ""], self.node["RABBITMQ_USER", default: ""],
                self.node["RABBITMQ_PASSWORD", default: ""], queue, type, "\(window)", "\(seconds)",
                "\(self.messageBytes)",
            ])
    }
}
