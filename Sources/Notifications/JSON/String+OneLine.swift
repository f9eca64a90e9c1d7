// SPDX-License-Identifier: Apache-2.0

extension String {
    /// Returns untrusted text on one line and without control sequences for a terminal: control and format characters,
    /// line and paragraph separators, private-use and unassigned characters are written as `\u{…}`.
    ///
    /// - Parameter limit: the maximum number of Unicode scalars of the result; `…` replaces the rest. A number of
    ///   characters would not limit the length: one character may have a million combining marks.
    package func oneLine(limit: Int) -> String {
        var line = String.UnicodeScalarView()
        var count = 0
        // The end of the text that leaves space for the `…`.
        var end = line.startIndex
        for scalar in self.unicodeScalars {
            let text: String.UnicodeScalarView
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
                text = "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars
            default: text = String(scalar).unicodeScalars
            }
            count += text.count
            guard count <= limit else { return String(line[..<end]) + "…" }
            line.append(contentsOf: text)
            if count < limit { end = line.endIndex }
        }
        return String(line)
    }
}
