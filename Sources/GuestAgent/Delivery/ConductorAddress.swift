// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import HostNames

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
        guard let parts = try? HostPort.Parts(text[...]),
            parts.hasBrackets ? HostName(String(parts.host)).isIPv6 : !parts.host.contains(":")
        else { return nil }
        // `*` is an address to listen on, not one to connect to; some resolvers answer ::1 for it.
        guard !parts.host.isEmpty,
            parts.host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "*") })
        else { return nil }
        guard let portText = parts.port else {
            self.init(host: String(parts.host))
            return
        }
        guard let port = HostPort.portNumber(portText) else { return nil }
        self.init(host: String(parts.host), port: Int(port))
    }

    /// `host:port`, with an IPv6 address in brackets.
    public var description: String { HostPort(host: self.host, port: self.port).description }
}
