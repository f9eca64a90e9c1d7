// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A DNS name or an IP address without brackets, judged by its text only.
package struct HostName {
    private let text: String

    /// Creates a host name with this text, which may be any.
    package init(_ text: String) { self.text = text }

    /// Whether the text is an IPv4 address with all four parts.
    package var isIPv4: Bool { self.ipv4Octets != nil }

    /// The four octets of an IPv4 address; nil for other text.
    package var ipv4Octets: [UInt8]? { Self.octets(of: self.text, family: AF_INET).map { Array($0.prefix(4)) } }

    /// The sixteen octets of an IPv6 address without a zone; nil for other text.
    package var ipv6Octets: [UInt8]? { Self.octets(of: self.text, family: AF_INET6) }

    /// Whether the text is an IPv6 address, with or without a zone: `fe80::1%eth0`.
    package var isIPv6: Bool {
        let parts = self.text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        return HostName(String(parts[0])).ipv6Octets != nil
            && parts.dropFirst().allSatisfy { !$0.isEmpty }
    }

    /// Whether the text always means this machine: `localhost`, 127.0.0.0/8 or ::1.
    package var isLoopback: Bool {
        if self.text.lowercased() == "localhost" { return true }
        if let octets = self.ipv4Octets { return octets[0] == 127 }
        return self.ipv6Octets == [UInt8](repeating: 0, count: 15) + [1]
    }

    private static func octets(of text: String, family: Int32) -> [UInt8]? {
        var octets = [UInt8](repeating: 0, count: 16)
        return unsafe inet_pton(family, text, &octets) == 1 ? octets : nil
    }
}
