// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC

/// The party that a connection counts for, in addition to its guest: the guests of one party may be one attacker.
package enum ConnectionQuotaOwner: Hashable, Sendable {
    /// The tenant that the guest's certificate names.
    case tenant(String)
    /// The network that the guest connects from, if the certificate names no tenant.
    case network(NetworkAddress)
    /// A peer without a tenant and an address, which only tests have.
    case unknown

    /// Creates the party that this peer's connections count for.
    package init(_ peer: RPCPeer) {
        if let tenant = GuestIdentity(peer.identity)?.tenantID {
            self = .tenant(tenant)
        } else {
            self = peer.network.map(ConnectionQuotaOwner.network) ?? .unknown
        }
    }

    /// The tenant's name; nil for any other party.
    package var tenantID: String? {
        guard case .tenant(let name) = self else { return nil }
        return name
    }
}
