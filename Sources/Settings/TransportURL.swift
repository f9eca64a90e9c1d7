/// Shows URLs of message brokers without their passwords.
package enum TransportURL {
    /// Returns the URL with every password replaced by `***`; the query's values go as well.
    ///
    /// oslo's form with several hosts is understood: `rabbit://u:p@one:5672,u:p@two:5672/vhost`. What does not read as
    /// such a URL is not taken apart, since no one can tell then where a password ends: only `***` is left of it.
    package static func redacted(_ url: String) -> String {
        guard let colon = url.firstRange(of: "://") else { return "***" }
        let scheme = url[..<colon.lowerBound]
        guard !scheme.isEmpty, scheme.utf8.allSatisfy(isSchemeByte) else { return "***" }
        let hidden = "\(scheme)://***"
        let rest = url[colon.upperBound...]
        let authorityEnd = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        let queryStart = rest[authorityEnd...].firstIndex { "?#".contains($0) } ?? rest.endIndex
        let path = rest[authorityEnd..<queryStart]
        // An unescaped slash in a password moves its at sign to the path.
        guard !rest[authorityEnd...].contains("@") else { return hidden }

        let hosts = rest[..<authorityEnd].split(separator: ",", omittingEmptySubsequences: false)
        var shown: [String] = []
        for host in hosts {
            guard let part = redactedHost(host) else { return hidden }
            // An unescaped comma in a password looks like a host without user before one with a user.
            if part.contains("@"), let last = shown.last, !last.contains("@") { return hidden }
            shown.append(part)
        }
        let query = queryStart == rest.endIndex ? "" : "?***"
        return "\(scheme)://\(shown.joined(separator: ","))\(path)\(query)"
    }

    private static func redactedHost(_ host: Substring) -> String? {
        let parts = host.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = parts.last, isAddress(address) else { return nil }
        guard parts.count == 2 else { return String(address) }
        // Without a colon nobody can tell whether it is a user or a token.
        guard let colon = parts[0].firstIndex(of: ":") else { return "***@\(address)" }
        return "\(parts[0][..<colon]):***@\(address)"
    }

    private static func isAddress(_ address: Substring) -> Bool {
        if address.hasPrefix("[") {
            return address.utf8.allSatisfy { isHostByte($0) || "[]:%".utf8.contains($0) }
        }
        let parts = address.split(separator: ":", omittingEmptySubsequences: false)
        guard let host = parts.first, parts.count <= 2, host.utf8.allSatisfy(isHostByte) else { return false }
        return parts.count == 1 || UInt16(parts[1]) != nil
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        isSchemeByte(byte) || byte == UInt8(ascii: "_")
    }

    private static func isSchemeByte(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || "0123456789+-.".utf8.contains(byte)
    }
}
