// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `relay-benchmark`: what `Tests/Benchmarks/throughput` measures with.
@main
struct RelayBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "relay-benchmark",
        abstract: "Measures direct publishing beside the relay. Tests/Benchmarks/throughput starts it.",
        subcommands: [Measure.self, Rows.self], defaultSubcommand: Measure.self)
}

/// Which rows there are, or which of them the names stand for.
struct Rows: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Names the rows that would be measured, one a line.")

    @OptionGroup var choice: RowChoice

    func run() throws { for row in try self.choice.rows() { print(row.name) } }
}
