// SPDX-License-Identifier: Apache-2.0

import BenchmarkFigures
import Foundation

/// The processes that stand ready, and how a row of the table is measured once.
struct Bench {
    /// A running conductor.
    struct Conductor {
        var port: Int
        var process: Int32
    }

    /// One way that messages go.
    enum Way {
        /// The C publisher: a queue's type, and how many may be unconfirmed.
        case direct(queue: String, window: Int)
        /// The C guests, through the conductor of that name.
        case relay(conductor: String, connections: Int, window: Int)
        /// So many through oslo.messaging, as Trove does it: cast to a conductor in Python, published by its Notifier.
        case trove(messages: Int)
    }

    /// The node's variables (`deploy/private-rabbitmq`).
    var node: [String: String]
    /// The node's process.
    var broker: Int32
    /// By name: `noop`, `classic`, `quorum`.
    var conductors: [String: Conductor]
    /// The oslo.messaging conductor, and the Python that runs its guest.
    var oslo: (process: Int32, python: String, script: String)
    /// Where the guests' certificates are.
    var certificates: String
    /// Where the load generators are.
    var programs: String
    /// How long one measurement takes.
    var seconds: Double
    /// Of a message that goes directly; about what the relay makes of a guest's report.
    var messageBytes: Int

    /// The queue that a conductor publishes ends to.
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

    /// - Parameter seconds: 0 to empty the queue only.
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
