// SPDX-License-Identifier: Apache-2.0

/// Panels one below the other, each with lines through points, as a plain SVG for documents on light and dark
/// backgrounds, without external fonts or styles.
public struct LineChart {
    /// A line.
    public struct Series {
        /// The name in the legend.
        public var name: String
        /// The points from left to right, in the units of the axes.
        public var points: [(x: Double, y: Double)]

        /// Creates a line with this name through these points, from left to right, in the units of the axes.
        public init(name: String, points: [(x: Double, y: Double)]) {
            (self.name, self.points) = (name, points)
        }
    }

    /// The division of a horizontal axis.
    public enum Division {
        /// A scale from 0, on which all units have the same width.
        case even
        /// The values of the points at equal distances, for values that double repeatedly.
        case steps
    }

    /// A pair of axes; the vertical one begins with 0.
    public struct Panel {
        /// The text above the panel.
        public var title: String
        /// The quantity on the horizontal axis, and its unit if it has one.
        public var x: String
        /// The division of the horizontal axis.
        public var division: Division
        /// The unit of the vertical axis.
        public var y: String
        /// The lines, at most six, which is the number of colours; others are not drawn.
        public var series: [Series]

        /// Creates a panel with this title, and these units (`guests`, `MiB`) at its axes.
        public init(title: String, x: String, division: Division = .even, y: String, series: [Series]) {
            (self.title, self.x, self.division, self.y, self.series) = (title, x, division, y, series)
        }
    }

    /// The panels from top to bottom.
    public var panels: [Panel]

    /// Creates a chart of these panels, from top to bottom.
    public init(panels: [Panel]) { self.panels = panels }

    /// Lengths in the SVG's own unit, which is a pixel without scaling.
    private enum Size {
        static let width = 720.0
        static let panel = 330.0
        static let left = 76.0
        static let right = 20.0
        static let top = 64.0
        static let legendRow = 18.0
        static let bottom = 48.0
        static let dot = 2.5
    }

    /// Colours of medium lightness, which can be distinguished on white and on black, and also by readers who see red
    /// as green (Okabe and Ito).
    private static let colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
    private static let grey = "#808080"

    /// The text of the SVG.
    public var svg: String {
        let height = Size.panel * Double(self.panels.count)
        let body = self.panels.enumerated().flatMap { Self.lines(of: $1, below: Size.panel * Double($0)) }
        let head =
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(Self.text(Size.width)) \(Self.text(height))\""
            + " width=\"\(Self.text(Size.width))\" height=\"\(Self.text(height))\" font-family=\"sans-serif\""
            + " font-size=\"12\" fill=\"\(Self.grey)\">"
        return ([head] + body + ["</svg>", ""]).joined(separator: "\n")
    }

    private static func lines(of panel: Panel, below offset: Double) -> [String] {
        let points = panel.series.flatMap(\.points)
        let horizontal: Axis =
            switch panel.division {
            case .even: Axis(most: points.map(\.x).max() ?? 1, count: 8)
            case .steps: Axis(steps: points.map(\.x))
            }
        let vertical = Axis(most: points.map(\.y).max() ?? 1, count: 5)
        let legend = self.legend(panel.series)
        let top = offset + Size.top + Size.legendRow * Double(legend.last?.row ?? 0)
        let bottom = offset + Size.panel - Size.bottom
        let right = Size.width - Size.right
        func x(_ value: Double) -> Double { Size.left + (right - Size.left) * horizontal.position(value) }
        func y(_ value: Double) -> Double { bottom - (bottom - top) * vertical.position(value) }

        var lines = [
            self.label(panel.title, x: Size.left, y: offset + 22, anchor: "start", extra: " font-size=\"15\""),
            self.label(panel.y, x: 8, y: top - 10, anchor: "start"),
            self.label(panel.x, x: (Size.left + right) / 2, y: bottom + 38, anchor: "middle"),
        ]
        for tick in vertical.ticks {
            lines.append(self.rule(from: (Size.left, y(tick)), to: (right, y(tick)), isAxis: tick == 0))
            lines.append(self.label(Axis.text(tick), x: Size.left - 8, y: y(tick) + 4, anchor: "end"))
        }
        for tick in horizontal.ticks {
            lines.append(self.rule(from: (x(tick), bottom), to: (x(tick), bottom + 5), isAxis: true))
            lines.append(self.label(Axis.text(tick), x: x(tick), y: bottom + 19, anchor: "middle"))
        }
        for ((series, colour), place) in zip(zip(panel.series, self.colours), legend) {
            let path = series.points.map { "\(self.text(x($0.x))),\(self.text(y($0.y)))" }
            lines.append(
                "<polyline points=\"\(path.joined(separator: " "))\" fill=\"none\" stroke=\"\(colour)\""
                    + " stroke-width=\"2\" stroke-linejoin=\"round\"/>")
            for point in series.points {
                lines.append(
                    "<circle cx=\"\(self.text(x(point.x)))\" cy=\"\(self.text(y(point.y)))\""
                        + " r=\"\(self.text(Size.dot))\" fill=\"\(colour)\"/>")
            }
            let height = offset + 40 + Size.legendRow * Double(place.row)
            lines.append(
                "<rect x=\"\(self.text(place.x))\" y=\"\(self.text(height - 5))\" width=\"18\" height=\"3\""
                    + " fill=\"\(colour)\"/>")
            lines.append(self.label(series.name, x: place.x + 24, y: height, anchor: "start"))
        }
        return lines
    }

    /// Returns the place of each name in the legend, with an estimated width of letters: the widths of the font are
    /// unknown here.
    private static func legend(_ series: [Series]) -> [(x: Double, row: Int)] {
        var (x, row) = (Size.left, 0)
        return series.map { series in
            let width = 24 + 6.4 * Double(series.name.count) + 24
            if x + width > Size.width, x > Size.left { (x, row) = (Size.left, row + 1) }
            defer { x += width }
            return (x, row)
        }
    }

    private static func label(_ text: String, x: Double, y: Double, anchor: String, extra: String = "") -> String {
        "<text x=\"\(self.text(x))\" y=\"\(self.text(y))\" text-anchor=\"\(anchor)\"\(extra)>\(self.escaped(text))</text>"
    }

    private static func rule(from start: (Double, Double), to end: (Double, Double), isAxis: Bool) -> String {
        "<line x1=\"\(self.text(start.0))\" y1=\"\(self.text(start.1))\" x2=\"\(self.text(end.0))\""
            + " y2=\"\(self.text(end.1))\" stroke=\"\(self.grey)\" stroke-opacity=\"\(isAxis ? "0.9" : "0.25")\"/>"
    }

    /// Returns a length with at most one decimal.
    private static func text(_ length: Double) -> String {
        let tenths = Int((length * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(abs(tenths % 10))"
    }

    private static func escaped(_ text: String) -> String {
        text.reduce(into: "") { escaped, character in
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            default: escaped.append(character)
            }
        }
    }
}
