extension String {
    /// Returns untrusted text on one line and without control sequences for a terminal: control and format characters,
    /// line and paragraph separators, private-use and unassigned characters are written as `\u{…}`.
    ///
    /// - Parameter limit: the maximum number of Unicode scalars; `…` replaces the rest. A number of characters would
    ///   not limit the length: one character may have a million combining marks.
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
