package import TLSSocket

/// Who a peer is, told from others by 64 bits: what its share hangs on, and what keeps one guest's message ids from another's.
///
/// Made of the names that it goes by for ``RPCRequestHandler/identity(of:)``, so that a guest stays who it was whatever else a
/// renewed certificate of its says. The bits differ from one process to the next, so nobody can look for a name that has
/// another's.
package struct PeerIdentity: Sendable, Hashable {
    /// The bits.
    package let bits: UInt64
    /// The names that it goes by; empty for a peer that goes by none. Whoever reads a certificate need do so once a connection.
    package let names: [String]

    /// A peer of these names, in this order.
    package init(names: [String]) {
        self.names = names
        var digest = ByteDigest()
        digest.add(UInt64(names.count))
        for name in names { digest.add(name) }
        self.bits = digest.value
    }

    /// A peer that goes by no name: the owner of just this certificate; without one, nobody.
    package init(_ certificate: PeerCertificate?) {
        self.names = []
        var digest = ByteDigest()
        // No count of names.
        digest.add(UInt64.max)
        digest.add(certificate?.sha256 ?? "")
        self.bits = digest.value
    }

    /// The names in one text, `TENANT/INSTANCE` or `INSTANCE`; empty for a peer that goes by none.
    package var displayName: String { self.names.filter { !$0.isEmpty }.joined(separator: "/") }

    package static func == (left: PeerIdentity, right: PeerIdentity) -> Bool { left.bits == right.bits }

    package func hash(into hasher: inout Hasher) { hasher.combine(self.bits) }
}
