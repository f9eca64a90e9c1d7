// SPDX-License-Identifier: Apache-2.0

import HostNames

/// The environment variables that Kubernetes sets for each service in a container's namespace (`enableServiceLinks`).
///
/// For a service `conductor-metrics` with the port 9100 they are `CONDUCTOR_METRICS_SERVICE_HOST`,
/// `CONDUCTOR_METRICS_SERVICE_PORT`, `CONDUCTOR_METRICS_SERVICE_PORT_<NAME>`, `CONDUCTOR_METRICS_PORT`, and
/// `CONDUCTOR_METRICS_PORT_9100_TCP` alone and with `_PROTO`, `_PORT` or `_ADDR` after it. A service whose name begins
/// with the program's name therefore has variables with the program's prefix.
enum KubernetesServiceVariable {
    /// Returns whether name and value both have the form of such a variable.
    ///
    /// The value is checked too, so that a mistyped setting is still an error, and so that a setting whose variable has
    /// such a name, such as `CONDUCTOR_LISTEN_PORT`, can be set.
    static func isOne(_ name: String, value: String) -> Bool {
        if name.wholeMatch(of: /[A-Z][A-Z0-9_]*_SERVICE_HOST/) != nil, Self.isAddress(value) { return true }
        if name.wholeMatch(of: /[A-Z][A-Z0-9_]*_SERVICE_PORT(_[A-Z0-9_]+)?/) != nil, Self.isPort(value) { return true }
        if name.wholeMatch(of: /[A-Z][A-Z0-9_]*_PORT/) != nil, Self.isLocator(value) { return true }
        guard let match = name.wholeMatch(of: /[A-Z][A-Z0-9_]*_PORT_([0-9]+)_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?/)
        else { return false }
        let (port, transport) = (match.output.1, match.output.2.lowercased())
        return switch match.output.3 {
        case "_PROTO": value == transport
        case "_PORT": value == port
        case "_ADDR": Self.isAddress(value)
        default: Self.isLocator(value, transport: transport, port: port)
        }
    }

    /// Returns whether the text has the form `tcp://192.0.2.1:80`, with brackets around an IPv6 address.
    private static func isLocator(_ text: String, transport: String? = nil, port: Substring? = nil) -> Bool {
        guard let match = text.wholeMatch(of: /(tcp|udp|sctp):\/\/(?:\[([^\]]+)\]|([^:]+)):([0-9]+)/) else {
            return false
        }
        let hasHost =
            match.output.2.map { HostName(String($0)).ipv6Octets != nil }
            ?? match.output.3.map { HostName(String($0)).isIPv4 }
        return hasHost == true && Self.isPort(String(match.output.4))
            && (transport.map { $0 == match.output.1 } ?? true) && (port.map { $0 == match.output.4 } ?? true)
    }

    private static func isPort(_ text: String) -> Bool {
        guard let port = UInt16(text), port > 0 else { return false }
        return text.utf8.first.map { (UInt8(ascii: "1")...UInt8(ascii: "9")).contains($0) } ?? false
    }

    private static func isAddress(_ text: String) -> Bool {
        HostName(text).isIPv4 || HostName(text).ipv6Octets != nil
    }
}
