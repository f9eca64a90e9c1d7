extension String {
    /// Text that a stranger wrote, on one line and without what a terminal would obey: control and format characters, line
    /// separators and whatever has no meaning are written as `\u{…}`.
    ///
    /// - Parameter limit: how many Unicode scalars at most; `…` stands for the rest. A bound by characters would be none: one
    ///   may have a million marks.
    package func oneLine(limit: Int) -> String {
        let head = self.unicodeScalars.prefix(limit)
        var line = String.UnicodeScalarView()
        for scalar in head {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
                line.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
            default: line.append(scalar)
            }
        }
        return String(line) + (head.endIndex == self.unicodeScalars.endIndex ? "" : "…")
    }
}
