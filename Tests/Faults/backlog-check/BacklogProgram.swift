// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `backlog-check`: measures the cost of a hundred thousand outcomes that wait for a broker, for a guest and its
/// conductor.
@main
struct BacklogProgram: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backlog-check",
        abstract: "Measure a guest and a conductor while a backlog grows, and while it is delivered.",
        subcommands: [Check.self, Guest.self])
}

/// The options that all guests of one check have in common.
struct GuestOptions: ParsableArguments {
    @Option(help: "The directory of `conductor certificates`, with a certificate of the instance in the outcomes.")
    var tls: String

    @Option(help: "The conductor's port at 127.0.0.1.")
    var port: Int
}
