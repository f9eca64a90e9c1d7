// SPDX-License-Identifier: Apache-2.0

package import TLSChannel

/// The identity of a peer, in 64 bits. It selects the peer's rate limiter, and separates one guest's message ids from
/// another's.
///
/// The bits depend on the names that ``RPCRequestHandler/identity(of:)`` gives the peer, so a guest keeps its identity
/// whatever else a renewed certificate contains. The bits differ between processes, so an attacker cannot search for a
/// name with the bits of another.
package struct PeerIdentity: Sendable, Hashable {
    /// The 64 bits.
    package let bits: UInt64
    /// The peer's names; empty for a peer without names. With them a certificate is read only once for each connection.
    package let names: [String]

    /// Creates the identity of a peer with these names, in this order.
    package init(names: [String]) {
        self.names = names
        var digest = ByteDigest()
        digest.add(UInt64(names.count))
        for name in names { digest.add(name) }
        self.bits = digest.value
    }

    /// Creates the identity of a peer without names: the owner of exactly this certificate. All peers without a
    /// certificate have the same identity.
    package init(_ certificate: PeerCertificate?) {
        self.names = []
        var digest = ByteDigest()
        // No identity has this number of names.
        digest.add(UInt64.max)
        digest.add(certificate?.sha256 ?? "")
        self.bits = digest.value
    }

    /// The names as one text, `TENANT/INSTANCE` or `INSTANCE`; empty for a peer without names.
    package var displayName: String { self.names.filter { !$0.isEmpty }.joined(separator: "/") }

    package static func == (left: PeerIdentity, right: PeerIdentity) -> Bool { left.bits == right.bits }

    package func hash(into hasher: inout Hasher) { hasher.combine(self.bits) }
}
