// SPDX-License-Identifier: Apache-2.0

extension LineChart {
    /// The error for a text that is no chart.
    public struct ReadingError: Error, CustomStringConvertible {
        /// The wrong line, and the format of lines.
        public let description: String
    }

    /// Reads a chart from lines: `title: …` begins a panel, `x: …` and `y: …` name the units of its axes, `series: …`
    /// begins a series, and `X Y`, two numbers, are its next point. Empty lines are ignored.
    ///
    /// - Throws: ``ReadingError`` for any other line, and for one before the line to which it belongs.
    public init(reading lines: some Sequence<String>) throws(ReadingError) {
        self.init(panels: [])
        for (index, line) in lines.enumerated() where !line.isEmpty {
            guard self.take(line) else {
                throw ReadingError(
                    description: "Line \(index + 1), \(line.debugDescription), is not expected there; write title:, x:,"
                        + " y:, series:, then points as two numbers from 0 on.")
            }
        }
    }

    private mutating func take(_ line: String) -> Bool {
        let parts = line.split(separator: ":", maxSplits: 1)
        guard parts.count == 2 else { return self.takePoint(line) }
        let text = String(parts[1].drop { $0 == " " })
        if parts[0] == "title" {
            self.panels.append(Panel(title: text, x: "", y: "", series: []))
            return true
        }
        guard let last = self.panels.indices.last else { return false }
        switch parts[0] {
        case "x": self.panels[last].x = text
        case "y": self.panels[last].y = text
        case "series": self.panels[last].series.append(Series(name: text, points: []))
        default: return false
        }
        return true
    }

    private mutating func takePoint(_ line: String) -> Bool {
        let numbers = line.split(separator: " ").compactMap { Double($0) }
        guard numbers.count == 2, numbers.allSatisfy({ $0 >= 0 && $0.isFinite }), let panel = self.panels.indices.last,
            let series = self.panels[panel].series.indices.last
        else { return false }
        self.panels[panel].series[series].points.append((numbers[0], numbers[1]))
        return true
    }
}
