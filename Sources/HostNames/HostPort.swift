// SPDX-License-Identifier: Apache-2.0

/// A host and a port. The text of both is `host:port`, with an IPv6 address in brackets.
package struct HostPort: Sendable, Hashable, CustomStringConvertible {
    /// A DNS name or an IP address without brackets.
    package let host: String
    /// The TCP port.
    package let port: Int

    /// Creates the pair.
    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `host:port`, with an IPv6 address in brackets.
    package var description: String {
        self.host.contains(":") ? "[\(self.host)]:\(self.port)" : "\(self.host):\(self.port)"
    }
}

extension HostPort {
    /// The parts of `host`, `host:port`, `[ipv6]` or `[ipv6]:port`. The host and the port may be any text.
    package struct Parts {
        /// An error for text with a bracket that cannot be split.
        package enum Failure: Error {
            /// The text begins with a bracket that has no end.
            case noClosingBracket
            /// Text other than a port follows the closing bracket.
            case textAfterBracket
        }

        /// The text before the port, without brackets.
        package let host: Substring
        /// Whether the host was in brackets, as an IPv6 address must be if a port follows.
        package let hasBrackets: Bool
        /// The text after the colon before the port; nil without a port. Without brackets, text with several colons is an
        /// IPv6 address, and has no port.
        package let port: Substring?

        /// Splits the text.
        package init(_ text: Substring) throws(Failure) {
            self.hasBrackets = text.first == "["
            if self.hasBrackets {
                guard let end = text.firstIndex(of: "]") else { throw .noClosingBracket }
                let rest = text[text.index(after: end)...]
                guard rest.isEmpty || rest.first == ":" else { throw .textAfterBracket }
                self.host = text[text.index(after: text.startIndex)..<end]
                self.port = rest.isEmpty ? nil : rest.dropFirst()
            } else if let colon = text.firstIndex(of: ":"), colon == text.lastIndex(of: ":") {
                self.host = text[..<colon]
                self.port = text[text.index(after: colon)...]
            } else {
                self.host = text
                self.port = nil
            }
        }
    }

    /// Returns the number of a port, from 1 to 65535; nil for any other text.
    package static func portNumber(_ text: Substring) -> UInt16? {
        guard let number = UInt16(text), number > 0, text.utf8.first != UInt8(ascii: "+") else { return nil }
        return number
    }
}
