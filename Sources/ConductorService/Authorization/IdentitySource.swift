// SPDX-License-Identifier: Apache-2.0

import Notifications

/// The part of a guest's certificate that names its instance.
package enum IdentitySource: Sendable, Hashable {
    /// The SPIFFE URI of the subject alternative name, `spiffe://TRUST-DOMAIN/instance/ID`, or with the tenant,
    /// `spiffe://TRUST-DOMAIN/tenant/TENANT/instance/ID`.
    case spiffe(TrustDomain)
    /// The common name of the subject, for authorities that issue no URIs. It cannot name the tenant.
    case commonName
}

/// The name of a SPIFFE trust domain (SPIFFE-ID, 2.1): the authority of its URIs, without user and port.
package struct TrustDomain: Sendable, Hashable, CustomStringConvertible {
    /// The name.
    package let name: String

    /// The trust domain that `conductor certificates` puts into certificates by default.
    package static let trial = TrustDomain(trusted: "conductor.test")

    /// - Returns: nil unless the name has 1 to 255 lower-case ASCII letters, digits, hyphens, underscores or dots. A
    ///   SPIFFE trust domain has no capitals, so two domains are the same exactly if their bytes are.
    package init?(_ name: String) {
        guard (1...255).contains(name.utf8.count),
            name.utf8.allSatisfy({ byte in
                byte.isDottedNameByte && !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            })
        else { return nil }
        self.name = name
    }

    private init(trusted name: String) { self.name = name }

    /// The name.
    package var description: String { self.name }
}
