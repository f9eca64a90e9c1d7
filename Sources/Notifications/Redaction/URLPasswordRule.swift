// SPDX-License-Identifier: Apache-2.0

/// A rule that finds passwords in URLs: `rabbit://user:password@host`.
enum URLPasswordRule {
    /// Appends the ranges of the passwords: after a `://`, from the first colon to the last `@` before white space or a
    /// quote. A password may therefore contain a slash. A URL of several hosts, or with an `@` in its path, loses more
    /// than necessary.
    static func find(in text: Span<UInt8>, _ secrets: inout [Range<Int>]) {
        var index = 0
        while index + 2 < text.count {
            guard text[index] == UInt8(ascii: ":"), text[index + 1] == UInt8(ascii: "/"),
                text[index + 2] == UInt8(ascii: "/")
            else {
                index += 1
                continue
            }
            let start = index + 3
            index = start
            var (colon, at): (Int?, Int?) = (nil, nil)
            while index < text.count, !text[index].isSpace, !text[index].isQuote {
                switch text[index] {
                case UInt8(ascii: ":"): colon = colon ?? index
                case UInt8(ascii: "@"): at = index
                default: break
                }
                index += 1
            }
            if let colon, let at, colon + 1 < at { secrets.append(colon + 1..<at) }
        }
    }
}
