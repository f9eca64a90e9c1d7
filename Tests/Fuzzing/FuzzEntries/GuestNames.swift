// SPDX-License-Identifier: Apache-2.0

/// A guest's identity from the URIs of its certificate: an independent implementation of the rule in Docs/security.md.
struct GuestNames: Equatable {
    let instance: String
    let tenant: String?

    /// Returns nil if the URIs name no guest.
    init?(uris: [[UInt8]]) {
        // Text with other characters than printable ASCII is no URI (RFC 3986), and could hide anything.
        guard uris.allSatisfy({ uri in uri.allSatisfy { $0 > 0x20 && $0 < 0x7F } }) else { return nil }
        let candidates = uris.filter { uri in
            String(decoding: uri, as: UTF8.self).lowercased().hasPrefix("spiffe:")
        }
        guard candidates.count == 1, candidates[0].count <= 2048 else { return nil }
        let text = String(decoding: candidates[0], as: UTF8.self)
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { String($0) }
        switch parts.count {
        case 5 where Array(parts[..<4]) == ["spiffe:", "", "conductor.test", "instance"]:
            guard let instance = Self.name(Array(parts[4].utf8)) else { return nil }
            (self.instance, self.tenant) = (instance, nil)
        case 7 where Array(parts[..<4]) == ["spiffe:", "", "conductor.test", "tenant"] && parts[5] == "instance":
            guard let tenant = Self.name(Array(parts[4].utf8)), let instance = Self.name(Array(parts[6].utf8)) else {
                return nil
            }
            (self.instance, self.tenant) = (instance, tenant)
        default: return nil
        }
    }

    /// Returns the bytes as a name; nil if they are none.
    static func name(_ bytes: [UInt8]) -> String? {
        let text = String(decoding: bytes, as: UTF8.self)
        let characters = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.".utf8)
        let isName =
            (1...255).contains(bytes.count) && bytes.allSatisfy(characters.contains) && text != "." && text != ".."
        return isName ? text : nil
    }
}
