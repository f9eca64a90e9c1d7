package import TLSSocket

/// Who a peer is, in 64 bits: what its share hangs on, and what keeps one guest's message ids from another's.
///
/// Made of the names that it goes by for ``RPCRequestHandler/identity(of:)``, so that a guest stays who it was whatever else a
/// renewed certificate of its says. The bits differ from one process to the next, so nobody can look for a name that has
/// another's.
package struct PeerIdentity: Sendable, Hashable {
    /// The bits.
    package let bits: UInt64

    /// A peer of these names, in this order.
    package init(names: [String]) {
        var digest = ByteDigest()
        digest.add(UInt64(names.count))
        for name in names { digest.add(name) }
        self.bits = digest.value
    }

    /// A peer that goes by no name: the owner of just this certificate; without one, nobody.
    package init(_ certificate: PeerCertificate?) {
        var digest = ByteDigest()
        // No count of names.
        digest.add(UInt64.max)
        digest.add(certificate?.sha256 ?? "")
        self.bits = digest.value
    }
}
