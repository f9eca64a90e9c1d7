// SPDX-License-Identifier: Apache-2.0

import BenchmarkFigures
import Foundation

/// Rows that differ only in the number of connections, and their figures. They are measured only if the figures are requested.
enum ConnectionSweep {
    private static let connections = [1, 4, 16, 64, 200]
    private static let conductors = ["noop", "classic"]
    /// The numbers of reports that each guest has in flight, with their names.
    private static let windows = [(count: 1, name: "one at a time"), (count: 16, name: "16 in flight each")]

    static let rows: [Row] = Self.conductors.flatMap { conductor in
        Self.windows.flatMap { window in
            Self.connections.map { count in
                Row(
                    name: Self.name(conductor, count, window.count),
                    way: .relay(conductor: conductor, connections: count, window: window.count))
            }
        }
    }

    /// Returns the medians of these rows, by the number of connections, as figures for `plot.py`.
    static func figures(of rounds: [String: Rounds]) -> String {
        let throughput = Self.panel("Throughput", "reports a second", rounds, decimals: 0, \.rate)
        let time = Self.panel("The conductor's processor time", "µs a report", rounds, decimals: 1) {
            $0.conductor / $0.messages
        }
        return (["# Measured on \(Date.now.formatted(.iso8601.year().month().day()))."] + throughput + [""] + time)
            .map { $0 + "\n" }.joined()
    }

    private static func panel(
        _ title: String, _ unit: String, _ rounds: [String: Rounds], decimals: Int, _ value: (LoadResult) -> Double
    ) -> [String] {
        var lines = ["title: \(title)", "x: connections", "y: \(unit)", "steps:"]
        for conductor in Self.conductors {
            for window in Self.windows {
                lines.append("series: \(conductor), \(window.name)")
                lines += Self.connections.compactMap { count in
                    rounds[Self.name(conductor, count, window.count)].map {
                        "\(count) \(Spread.text($0.spread(value).median, decimals))"
                    }
                }
            }
        }
        return lines
    }

    private static func name(_ conductor: String, _ connections: Int, _ window: Int) -> String {
        "connections-\(conductor)-\(connections)x\(window)"
    }
}
