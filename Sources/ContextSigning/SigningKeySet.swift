// SPDX-License-Identifier: Apache-2.0

import Notifications

/// The keys that tokens may be signed with, by name. A set can hold several, so that one key can replace another
/// without a gap.
package struct SigningKeySet: Sendable {
    /// The keys.
    package let keys: [SigningKey]

    /// - Throws: ``SigningKeyError`` when two keys have the same name, or there are more than 64.
    package init(_ keys: [SigningKey]) throws(SigningKeyError) {
        guard keys.count <= 64 else { throw SigningKeyError("are more than 64; remove the keys that are not in use") }
        for (index, key) in keys.enumerated() where keys[..<index].contains(where: { $0.kid == key.kid }) {
            throw SigningKeyError("has two keys with the name \(key.kid); rename one of them")
        }
        self.keys = keys
    }

    /// The difference between two sets, as names of keys, which are not secret.
    package struct Changes: Sendable, Hashable {
        /// The names of new keys.
        package var added: [String] = []
        /// The names of removed keys. Tokens that they signed are rejected.
        package var removed: [String] = []
        /// The names under which another key took an old one's place. Tokens that the old key signed are rejected.
        package var replaced: [String] = []

        /// Creates an empty difference.
        package init() {}

        /// Whether the sets are the same.
        package var isEmpty: Bool { self.added.isEmpty && self.removed.isEmpty && self.replaced.isEmpty }
    }

    /// Returns the changes from the other set to this one.
    package func changes(from other: SigningKeySet) -> Changes {
        var changes = Changes()
        for key in self.keys {
            guard let old = other.keys.first(where: { $0.kid == key.kid }) else {
                changes.added.append(key.kid)
                continue
            }
            if !key.isSame(as: old) { changes.replaced.append(key.kid) }
        }
        changes.removed = other.keys.map(\.kid).filter { kid in !self.keys.contains { $0.kid == kid } }
        return changes
    }

    /// Checks a token's signature and returns its payload.
    ///
    /// - Throws: ``TokenError`` when the text is no token, or no key of the set has signed it.
    package func payload(of token: String) throws(TokenError) -> [UInt8] {
        let jws = try CompactJWS(token)
        guard let kid = jws.header["kid"]?.string else { throw TokenError("does not name its key (kid)") }
        guard let key = self.keys.first(where: { $0.kid.hasSameBytes(as: kid) }) else {
            throw TokenError("names the key \(kid.excerpt), which is unknown here")
        }
        try jws.verify(with: key)
        return jws.payload
    }
}
