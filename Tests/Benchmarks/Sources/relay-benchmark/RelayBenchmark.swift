// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `relay-benchmark`: the program that measures for `Tests/Benchmarks/throughput`.
@main
struct RelayBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "relay-benchmark",
        abstract: "Measure direct publishing and the relay. Tests/Benchmarks/throughput starts this program.",
        subcommands: [Measure.self, Rows.self], defaultSubcommand: Measure.self)
}

/// Lists all rows, or those that the names select.
struct Rows: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the names of the rows to measure, one a line.")

    @OptionGroup var choice: RowChoice

    func run() throws { for row in try self.choice.rows() { print(row.name) } }
}
