// SPDX-License-Identifier: Apache-2.0

/// Text that a program has written for a terminal.
package enum TerminalText {
    private static let escape: Unicode.Scalar = "\u{1B}"
    private static let replacement: Unicode.Scalar = "\u{FFFD}"

    /// Returns the text of a line without the control sequences of ECMA-48 (colours, cursor movements, titles, links).
    /// Other control characters become U+FFFD, except for tabs.
    package static func plain(_ line: String) -> String {
        var plain = String.UnicodeScalarView()
        var rest = line.unicodeScalars[...]
        // Whether a control string may still have a terminator, so that each part of the line is searched only once.
        var mayEnd = true
        while let scalar = rest.popFirst() {
            switch scalar {
            case self.escape: self.skipSequence(&rest, &mayEnd)
            case "\u{9B}": self.skipParameters(&rest)
            case "\u{90}", "\u{98}", "\u{9D}", "\u{9E}", "\u{9F}": self.skipString(&rest, &mayEnd)
            case "\t": plain.append(scalar)
            case _ where scalar.properties.generalCategory == .control: plain.append(self.replacement)
            default: plain.append(scalar)
            }
        }
        return String(plain)
    }

    /// Skips the rest of a sequence after its escape character.
    private static func skipSequence(_ rest: inout Substring.UnicodeScalarView, _ mayEnd: inout Bool) {
        guard let first = rest.first else { return }
        switch first {
        case "[":
            rest.removeFirst()
            self.skipParameters(&rest)
        case "]", "P", "X", "^", "_":
            rest.removeFirst()
            self.skipString(&rest, &mayEnd)
        case " "..."/":
            // For example the choice of a character set: any of these, then one final character.
            while let next = rest.first, (" "..."/").contains(next) { rest.removeFirst() }
            if let last = rest.first, ("0"..."~").contains(last) { rest.removeFirst() }
        case "0"..."~": rest.removeFirst()
        default: break
        }
    }

    /// Skips parameters, intermediate characters and the final character. A sequence that is broken off ends where it
    /// is.
    private static func skipParameters(_ rest: inout Substring.UnicodeScalarView) {
        while let next = rest.first, ("0"..."?").contains(next) { rest.removeFirst() }
        while let next = rest.first, (" "..."/").contains(next) { rest.removeFirst() }
        if let last = rest.first, ("@"..."~").contains(last) { rest.removeFirst() }
    }

    /// Skips a control string up to its terminator. Without a terminator, the text is kept.
    private static func skipString(_ rest: inout Substring.UnicodeScalarView, _ mayEnd: inout Bool) {
        guard mayEnd else { return }
        var scanned = rest
        while let scalar = scanned.popFirst() {
            let isTerminator = scalar == "\u{07}" || scalar == "\u{9C}"
            if !isTerminator, scalar != self.escape || scanned.first != "\\" { continue }
            if !isTerminator { scanned.removeFirst() }
            rest = scanned
            return
        }
        mayEnd = false
    }
}
