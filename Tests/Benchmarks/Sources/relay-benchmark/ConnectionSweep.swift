// SPDX-License-Identifier: Apache-2.0

import BenchmarkFigures
import LineChart

/// Rows that differ only in the number of connections, and their chart. They are measured only if a chart is requested.
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

    /// Returns a chart of the medians of these rows, by the number of connections.
    static func chart(of rounds: [String: Rounds]) -> LineChart {
        LineChart(panels: [
            Self.panel("Throughput", "reports a second", rounds, \.rate),
            Self.panel("The conductor's processor time", "µs a report", rounds) { $0.conductor / $0.messages },
        ])
    }

    private static func panel(
        _ title: String, _ unit: String, _ rounds: [String: Rounds], _ value: (LoadResult) -> Double
    ) -> LineChart.Panel {
        let series = Self.conductors.flatMap { conductor in
            Self.windows.map { window in
                LineChart.Series(
                    name: "\(conductor), \(window.name)",
                    points: Self.connections.compactMap { count in
                        guard let results = rounds[Self.name(conductor, count, window.count)] else { return nil }
                        return (x: Double(count), y: results.spread(value).median)
                    })
            }
        }
        return LineChart.Panel(title: title, x: "connections", division: .steps, y: unit, series: series)
    }

    private static func name(_ conductor: String, _ connections: Int, _ window: Int) -> String {
        "connections-\(conductor)-\(connections)x\(window)"
    }
}
