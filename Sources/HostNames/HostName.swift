// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A DNS name or an IP address without brackets, judged by its text only.
package struct HostName {
    private let text: String

    /// Creates a host name with this text, which may be any.
    package init(_ text: String) { self.text = text }

    /// Whether the text is an IPv4 address with all four parts.
    package var isIPv4: Bool { Self.bytes(of: self.text, family: AF_INET) != nil }

    /// Whether the text is an IPv6 address, with or without a zone: `fe80::1%eth0`.
    package var isIPv6: Bool {
        let parts = self.text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        return Self.bytes(of: String(parts[0]), family: AF_INET6) != nil
            && parts.dropFirst().allSatisfy { !$0.isEmpty }
    }

    /// Whether the text always means this machine: `localhost`, 127.0.0.0/8 or ::1.
    package var isLoopback: Bool {
        if self.text.lowercased() == "localhost" { return true }
        if let bytes = Self.bytes(of: self.text, family: AF_INET) { return bytes[0] == 127 }
        return Self.bytes(of: self.text, family: AF_INET6) == [UInt8](repeating: 0, count: 15) + [1]
    }

    private static func bytes(of text: String, family: Int32) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 16)
        return unsafe inet_pton(family, text, &bytes) == 1 ? bytes : nil
    }
}
