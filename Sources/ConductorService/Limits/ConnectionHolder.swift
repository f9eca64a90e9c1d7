package import ConductorRPC

/// The party that a connection counts for, beside its guest: guests of one party may well be one attacker.
package enum ConnectionHolder: Hashable, Sendable {
    /// The tenant that the guest's certificate names.
    case tenant(String)
    /// Where the certificate names no tenant, the network that the guest connects from.
    case network(NetworkAddress)
    /// A peer without a tenant and an address, which only a test has.
    case unknown

    /// The party that this peer's connections count for.
    package init(_ peer: RPCPeer) {
        if let tenant = GuestIdentity(peer.identity)?.tenantID {
            self = .tenant(tenant)
        } else {
            self = peer.network.map(ConnectionHolder.network) ?? .unknown
        }
    }

    /// The tenant's name; nil for a network.
    package var tenantID: String? {
        guard case .tenant(let name) = self else { return nil }
        return name
    }
}
