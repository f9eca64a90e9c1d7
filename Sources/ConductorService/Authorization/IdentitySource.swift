import Notifications

/// Where a guest's certificate names its instance.
package enum IdentitySource: Sendable, Hashable {
    /// In the SPIFFE URI of its subject alternative name, `spiffe://TRUST-DOMAIN/instance/ID`, or with the tenant,
    /// `spiffe://TRUST-DOMAIN/tenant/TENANT/instance/ID`.
    case spiffe(TrustDomain)
    /// In the common name of its subject, for authorities that make no URIs. The tenant it cannot name.
    case commonName
}

/// The name of a SPIFFE trust domain (SPIFFE-ID, 2.1): the authority of its URIs, without user and port.
package struct TrustDomain: Sendable, Hashable, CustomStringConvertible {
    /// The name.
    package let name: String

    /// What `conductor certificates` puts into certificates unless told otherwise.
    package static let throwAway = TrustDomain(trusted: "conductor.test")

    /// - Returns: nil unless the name has 1 to 255 small ASCII letters, digits, hyphens, underscores or dots. A SPIFFE
    ///   trust domain has no capitals, so that two that are written alike are the same.
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
