// SPDX-License-Identifier: Apache-2.0

import HostNames

/// A transport URL split at its delimiters, as Python's `urlparse` and oslo split it.
///
/// A password with an unencoded delimiter is split into parts that look like a host, a port, a path or an option. So no
/// error message here quotes one of these parts if it could not be parsed.
struct TransportURLParts {
    enum Scheme { case rabbit, amqp, amqps }

    let scheme: Scheme
    let query: Substring
    private let authority: Substring
    private let path: Substring

    static let encodingHint =
        "(a user or password with any of / ? # , : @ % must have it percent-encoded, such as %2F for /)"

    init(_ string: String) throws(TransportURLError) {
        guard !string.unicodeScalars.contains(where: { $0.value < 0x21 || $0.value == 0x7F }) else {
            throw TransportURLError(.syntax, "contains a space or a control character; percent-encode it")
        }
        guard let colon = string.firstIndex(of: ":"), string[colon...].hasPrefix("://") else {
            throw TransportURLError(
                .syntax, "is not a URL; write it like rabbit://user:password@host:5672/vhost")
        }
        switch string[..<colon].lowercased() {
        case "rabbit": self.scheme = .rabbit
        case "amqp": self.scheme = .amqp
        case "amqps": self.scheme = .amqps
        case let other where !other.isEmpty && other.utf8.count <= 32 && other.utf8.allSatisfy(Self.isSchemeByte):
            throw TransportURLError(.scheme, "the transport \"\(other)\" is not supported; use rabbit, amqp or amqps")
        default:
            throw TransportURLError(.scheme, "does not begin with rabbit://, amqp:// or amqps://; use one of these")
        }
        let rest = string[string.index(colon, offsetBy: 3)...]
        guard !rest.utf8.contains(UInt8(ascii: "#")) else {
            throw TransportURLError(.syntax, "contains a #, which has no meaning here \(Self.encodingHint)")
        }
        let pathStart = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let queryStart = rest[pathStart...].firstIndex(of: "?") ?? rest.endIndex
        self.authority = rest[..<pathStart]
        self.path = rest[pathStart..<queryStart].dropFirst()
        self.query = rest[queryStart...].dropFirst()
        guard !self.path.utf8.contains(UInt8(ascii: "@")), !self.query.utf8.contains(UInt8(ascii: "@")) else {
            throw TransportURLError(
                .syntax,
                "contains an @ after the first / or ?; write %40 unless the @ ends a password "
                    + Self.encodingHint)
        }
    }

    func virtualHost() throws(TransportURLError) -> String {
        guard !self.path.isEmpty else { return "/" }
        guard let decoded = Self.percentDecoded(self.path), decoded.utf8.count <= 255, Self.isPrintable(decoded) else {
            throw TransportURLError(
                .virtualHost, "the virtual host (after the first /) must be printable UTF-8 of at most 255 bytes")
        }
        return decoded
    }

    func hosts(defaultPort: UInt16) throws(TransportURLError) -> [TransportURL.Host] {
        var hosts: [TransportURL.Host] = []
        for (index, text) in self.authority.split(separator: ",").enumerated() {
            hosts.append(try Self.host(text, number: index + 1, defaultPort: defaultPort))
        }
        if hosts.isEmpty {
            hosts.append(.init(name: "localhost", port: defaultPort, user: "guest", password: Password("guest")))
        }
        return hosts
    }

    private static func host(
        _ text: Substring, number: Int, defaultPort: UInt16
    ) throws(TransportURLError) -> TransportURL.Host {
        var user = "guest"
        var password = "guest"
        var location = text
        if let at = text.lastIndex(of: "@") {
            (user, password) = try Self.credentials(text[..<at], number: number)
            location = text[text.index(after: at)...]
        }
        let parts: HostPort.Parts
        do {
            parts = try HostPort.Parts(location)
        } catch {
            switch error {
            case .noClosingBracket:
                throw TransportURLError(.host, "host number \(number) begins with [ but has no ]; add it")
            case .textAfterBracket:
                throw TransportURLError(
                    .host, "host number \(number) has text other than a port after the ]; remove it")
            }
        }
        let name = parts.host
        guard Self.isPrintable(String(name)), name.utf8.count <= 255 else {
            throw TransportURLError(
                .host,
                "the name of host number \(number) is not a host name; use printable characters, at most 255 bytes")
        }
        guard !parts.hasBrackets || HostName(String(name)).isIPv6 else {
            throw TransportURLError(
                .host,
                "host number \(number) has brackets around text that is not an IPv6 address; correct the address, or remove the brackets"
            )
        }
        // Some resolvers answer ::1 for such a name.
        guard !name.utf8.contains(UInt8(ascii: "*")) else {
            throw TransportURLError(.host, "host number \(number) contains a *; name one broker")
        }
        var port = defaultPort
        if let portText = parts.port {
            guard let portNumber = HostPort.portNumber(portText) else {
                throw TransportURLError(
                    .port, "the port of host number \(number) is not a number from 1 to 65535 \(Self.encodingHint)")
            }
            port = portNumber
        }
        return .init(
            name: name.isEmpty ? "localhost" : String(name), port: port, user: user, password: Password(password))
    }

    private static func credentials(
        _ text: Substring, number: Int
    ) throws(TransportURLError) -> (user: String, password: String) {
        guard let colon = text.firstIndex(of: ":") else {
            throw TransportURLError(.credentials, "host number \(number) has a user but no password \(encodingHint)")
        }
        guard let user = Self.percentDecoded(text[..<colon]),
            let password = Self.percentDecoded(text[text.index(after: colon)...]),
            !user.utf8.contains(0), !password.utf8.contains(0), user.utf8.count <= 255, password.utf8.count <= 4096
        else {
            throw TransportURLError(
                .credentials,
                "the user or password of host number \(number) is not UTF-8, contains a NUL, or is longer than 255 (user) or 4096 (password) bytes"
            )
        }
        // Empty counts as absent, as it does for oslo's AMQP library.
        return (user.isEmpty ? "guest" : user, password.isEmpty ? "guest" : password)
    }

    /// Decodes as Python's `unquote` does (a `%` without two hexadecimal digits is kept), but returns nil for bytes
    /// that are not UTF-8.
    static func percentDecoded(_ text: Substring, plusIsSpace: Bool = false) -> String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%") {
                let digits = rest.prefix(2)
                if digits.count == 2, digits.allSatisfy(Self.isHexadecimal),
                    let value = UInt8(Substring(digits), radix: 16)
                {
                    bytes.append(value)
                    rest = rest.dropFirst(2)
                    continue
                }
            }
            bytes.append(plusIsSpace && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default: false
        }
    }

    private static func isSchemeByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"),
            UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    private static func isPrintable(_ text: String) -> Bool {
        text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) }
    }
}
