// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `hostile-bench`: measures the cost of hostile peers for a conductor's well-behaved guests.
@main
struct HostileBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hostile-bench",
        abstract:
            "Measure well-behaved guests while hostile peers attack their conductor; Tests/Hostile/run starts this program.",
        subcommands: [Measure.self, AttackCommand.self, SlowBroker.self])
}

/// The options that measuring and attacking have in common.
struct TargetOptions: ParsableArguments {
    @Option(help: "The conductor's port at 127.0.0.1.")
    var port: Int

    @Option(
        help: "The directory of the certificates: ca.pem, guest-good-N, guest-bad-N, and foreign/ of another authority."
    )
    var tls: String
}

/// The reason why the bench cannot continue, in a sentence.
struct BenchError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
