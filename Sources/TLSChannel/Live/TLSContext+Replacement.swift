// SPDX-License-Identifier: Apache-2.0

extension TLSContext {
    /// The reason why a well-formed context must not replace another one.
    struct Objection: Error {
        let reason: String
        /// The number of seconds until it may, if the only obstacle is that it is not valid yet; nil otherwise.
        var remaining: Int64?
    }

    /// Checks whether this well-formed context may replace another one, and throws ``Objection`` if it must not.
    ///
    /// It must not replace a context that works where this one does not: its certificate, a list or all of its
    /// authorities have expired or are not valid yet, and those of the other one are valid. It must also not accept
    /// peers that the other one has revoked: one of its lists is older than the other one's, or the order of the two is
    /// unknown.
    func checkReplacement(of present: TLSContext, now: Int64) throws(Objection) {
        let own = (
            self.expiries.filter { $0.kind == .certificate }, present.expiries.filter { $0.kind == .certificate }
        )
        if let bad = own.0.first(where: { !$0.isValid(at: now) }), own.1.allSatisfy({ $0.isValid(at: now) }) {
            throw Self.objection(bad, now)
        }
        try self.checkLists(replacing: present.expiries.filter { $0.kind == .revocationList }, now: now)
        // An expired authority may stay in a bundle with others.
        let authorities = self.expiries.filter { $0.kind == .authority }
        if let bad = authorities.first, authorities.allSatisfy({ !$0.isValid(at: now) }),
            present.expiries.contains(where: { $0.kind == .authority && $0.isValid(at: now) })
        {
            throw Self.objection(bad, now)
        }
    }

    private func checkLists(replacing present: [TLSExpiry], now: Int64) throws(Objection) {
        for list in self.expiries where list.kind == .revocationList {
            guard let edition = list.list else { continue }
            let predecessors = present.filter { $0.list?.isSameList(edition) == true }
            if let other = predecessors.first(where: { $0.list.map(edition.isComparable(with:)) == false }) {
                throw Objection(
                    reason:
                        "\(list) has \(edition.number == nil ? "no crlNumber" : "a crlNumber"), and the list in use"
                        + " (\(other.fact(now: now))) has \(edition.number == nil ? "one" : "none"), so it is unknown"
                        + " which list is newer; have its authority number its lists, and restart to use this one"
                )
            }
            if !list.isValid(at: now), predecessors.allSatisfy({ $0.isValid(at: now) }) {
                throw Self.objection(list, now)
            }
            if let newer = predecessors.first(where: { $0.list.map(edition.isOlder(than:)) == true }) {
                throw Objection(
                    reason:
                        "\(list) is older than the list in use (\(newer.fact(now: now))), so later revocations"
                        + " would be lost; install the newest list, or restart to use this one")
            }
        }
    }

    private static func objection(_ expiry: TLSExpiry, _ now: Int64) -> Objection {
        Objection(reason: expiry.fact(now: now), remaining: expiry.isEarly(at: now) ? expiry.notBefore - now : nil)
    }
}
