import Notifications

/// The keys that tokens may be signed with, by name: several, so that one can follow another without a gap.
package struct SigningKeySet: Sendable {
    /// The keys.
    package let keys: [SigningKey]

    /// - Throws: ``SigningKeyError`` when two have one name, or there are more than 64.
    package init(_ keys: [SigningKey]) throws(SigningKeyError) {
        guard keys.count <= 64 else { throw SigningKeyError("are more than 64; remove those that nobody signs with") }
        for (index, key) in keys.enumerated() where keys[..<index].contains(where: { $0.kid == key.kid }) {
            throw SigningKeyError("has two keys of the name \(key.kid); give each a name of its own")
        }
        self.keys = keys
    }

    /// What is different between two sets; by the keys' names, which are no secrets.
    package struct Changes: Sendable, Hashable {
        /// Keys that are new.
        package var added: [String] = []
        /// Keys that are there no more: what they have signed is refused.
        package var removed: [String] = []
        /// Other keys under names that were there: what the old ones have signed is refused.
        package var replaced: [String] = []

        /// None.
        package init() {}

        /// Whether the sets are the same.
        package var isEmpty: Bool { self.added.isEmpty && self.removed.isEmpty && self.replaced.isEmpty }
    }

    /// What this set has that the other had not, and the other way round.
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

    /// The payload of a token that one of the keys has signed.
    ///
    /// - Throws: ``TokenError``.
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
