// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import Glibc
import HostNames
import NIOCore
import Notifications

/// The addresses that the setting `listen.host` selects.
///
/// | text | listens on |
/// |---|---|
/// | `*` | all addresses, IPv6 and IPv4; on a machine without IPv6 all of IPv4 |
/// | `::`, `[::]` | all addresses, IPv6 and IPv4 |
/// | `0.0.0.0` | all addresses of IPv4 |
/// | `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]` | this address |
/// | `edge-1.example` | the first address that the name resolves to |
package struct ListenHost: Sendable, Hashable {
    /// One way to listen.
    package enum Binding: Sendable, Hashable {
        /// All addresses, by an IPv6 socket that accepts IPv4 too.
        case all
        /// One address, or the first address of a name.
        case one(String)

        /// Returns the addresses that are listened on, `host:port` each, for a socket with this address.
        func addresses(of socket: SocketAddress) -> [String] {
            let own = socket.hostAndPort ?? "unknown"
            return self == .all ? [own, "0.0.0.0:\(socket.port ?? 0)"] : [own]
        }
    }

    /// The ways to listen, in order of preference. The first one that the machine supports is used. Never empty.
    package let bindings: [Binding]

    /// - Throws: ``ConductorServerError`` if the text has none of these forms.
    package init(_ text: String) throws(ConductorServerError) {
        let hasBrackets = text.hasPrefix("[") && text.hasSuffix("]") && text.utf8.count > 2
        let host = hasBrackets ? String(text.dropFirst().dropLast()) : text
        switch host {
        case "*" where !hasBrackets: self.bindings = [.all, .one("0.0.0.0")]
        case "::": self.bindings = [.all]
        case _ where HostName(host).isIPv6 || !hasBrackets && Self.isNameOrIPv4(host): self.bindings = [.one(host)]
        default:
            throw ConductorServerError(
                listenHost: "must be an IP address of this machine, a name of it, or * for all addresses, IPv6 and IPv4"
                    + (host.contains(":") ? "; set the port in listen.port" : ""))
        }
    }

    /// Whether this error number of a bind means that the machine has no IPv6: the kernel lacks it, or an administrator
    /// has disabled it.
    package static func isOfMissingIPv6(_ number: CInt?) -> Bool {
        number == EAFNOSUPPORT || number == EADDRNOTAVAIL
    }

    /// Whether the text is an IPv4 address with all four parts, or can be a name in DNS or in a hosts file.
    private static func isNameOrIPv4(_ text: String) -> Bool {
        // Resolvers read a text of only digits and dots as an address, also in forms that are easily mistyped: `10.1`
        // is 10.0.0.1.
        if text.utf8.allSatisfy({ $0 == UInt8(ascii: ".") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) {
            return HostName(text).isIPv4
        }
        return (1...253).contains(text.utf8.count) && text.utf8.allSatisfy(\.isDottedNameByte)
    }
}
