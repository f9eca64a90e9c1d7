// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
internal import Glibc

/// The address on which a conductor listens.
public struct ConductorAddress: Sendable, Hashable, CustomStringConvertible {
    /// A DNS name or an IP address; the conductor's certificate must name it.
    public let host: String
    /// The TCP port.
    public let port: Int

    /// Creates an address of this host and port; nil for the default port, 8790.
    public init(host: String, port: Int? = nil) {
        self.host = host
        self.port = port ?? RPCProtocol.defaultPort
    }

    /// Parses `host`, `host:port`, `[ipv6]` or `[ipv6]:port`.
    ///
    /// - Returns: nil for any other text.
    public init?(_ text: String) {
        let host: Substring
        let rest: Substring
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<end]
            rest = text[text.index(after: end)...]
            guard Self.isIPv6(host) else { return nil }
        } else {
            let end = text.firstIndex(of: ":") ?? text.endIndex
            host = text[..<end]
            rest = text[end...]
        }
        // `*` is an address to listen on, not one to connect to; some resolvers answer ::1 for it.
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "*") }) else {
            return nil
        }
        guard !rest.isEmpty else {
            self.init(host: String(host))
            return
        }
        let digits = rest.dropFirst()
        guard rest.first == ":", digits.utf8.first != UInt8(ascii: "+"), let port = Int(digits),
            (1...65535).contains(port)
        else { return nil }
        self.init(host: String(host), port: port)
    }

    /// Returns whether the text is an IPv6 address, with or without a zone: `fe80::1%eth0`.
    private static func isIPv6(_ text: Substring) -> Bool {
        let parts = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        var bytes = [UInt8](repeating: 0, count: 16)
        guard let first = parts.first, unsafe inet_pton(AF_INET6, String(first), &bytes) == 1 else { return false }
        return parts.dropFirst().allSatisfy { !$0.isEmpty }
    }

    /// `host:port`, with an IPv6 address in brackets.
    public var description: String {
        self.host.contains(":") ? "[\(self.host)]:\(self.port)" : "\(self.host):\(self.port)"
    }
}
