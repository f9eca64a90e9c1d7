// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC
import Notifications
package import TLSChannel

/// The identity of a guest: the names that its certificate proves, and for which the guest may report.
package struct GuestIdentity: Sendable, Hashable, CustomStringConvertible {
    /// The instance that the guest runs in.
    package let instanceID: String
    /// The tenant that the instance belongs to; nil if the certificate names none.
    package let tenantID: String?

    /// The maximum length of the name of an instance or a tenant, in bytes.
    package static let longestName = 255

    /// Reads the identity from a certificate whose chain has been verified.
    ///
    /// - Throws: ``GuestIdentityError`` if the certificate names no instance in the form that the source requires.
    package init(_ certificate: PeerCertificate, source: IdentitySource) throws(GuestIdentityError) {
        switch source {
        case .spiffe(let trustDomain):
            // Other readers of the certificate could take such a URI for a second SPIFFE ID.
            guard !certificate.hasUnprintableURI else {
                throw GuestIdentityError("The certificate has a URI with characters other than printable ASCII.")
            }
            self = try Self.named(by: certificate.uris, trustDomain)
        case .commonName:
            guard let name = certificate.commonName else {
                throw GuestIdentityError("The certificate has no common name, or more than one.")
            }
            guard let instanceID = Self.name(Array(name.utf8)[...]) else {
                throw GuestIdentityError("The certificate's common name is not an instance id, which has \(Self.rule).")
            }
            self.init(instanceID: instanceID, tenantID: nil)
        }
    }

    /// Creates the guest that this peer identity was made of; nil if it was made of none.
    package init?(_ identity: PeerIdentity) {
        guard identity.names.count == 2 else { return nil }
        self.init(instanceID: identity.names[1], tenantID: identity.names[0].isEmpty ? nil : identity.names[0])
    }

    /// The guest's identity as a peer, whatever else its certificate says.
    package var peerIdentity: PeerIdentity { PeerIdentity(names: [self.tenantID ?? "", self.instanceID]) }

    private init(instanceID: String, tenantID: String?) {
        self.instanceID = instanceID
        self.tenantID = tenantID
    }

    /// Reads the identity from URIs. Only one of them may be a SPIFFE ID: the standard for certificates (X.509-SVID)
    /// requires a single one, and of two it is unclear which is meant. URIs of other schemes are ignored.
    private static func named(
        by uris: [String], _ trustDomain: TrustDomain
    ) throws(GuestIdentityError) -> GuestIdentity {
        var found: String?
        for uri in uris where Self.isSPIFFE(uri) {
            guard found == nil else { throw GuestIdentityError("The certificate has more than one SPIFFE URI.") }
            found = uri
        }
        // Only used in errors.
        var form: String { "spiffe://\(trustDomain)/instance/ID" }
        guard let found else {
            throw GuestIdentityError("The certificate has no SPIFFE URI; it must have \(form).")
        }
        let scheme = "spiffe://"
        guard found.utf8.count <= 2048, found.utf8.starts(with: scheme.utf8) else {
            throw GuestIdentityError(
                "The certificate's SPIFFE URI must begin with \(scheme), and have at most 2048 bytes.")
        }
        // An array, because iterating over a string's bytes is slow.
        let parts = Array(found.utf8)[scheme.utf8.count...].split(
            separator: UInt8(ascii: "/"), maxSplits: 5, omittingEmptySubsequences: false)
        guard parts[0].elementsEqual(trustDomain.name.utf8) else {
            throw GuestIdentityError("The certificate's SPIFFE URI is of another trust domain than \(trustDomain).")
        }
        var (instanceID, tenantID): (String?, String?) = (nil, nil)
        if parts.count == 3, parts[1].elementsEqual("instance".utf8) {
            instanceID = Self.name(parts[2])
        } else if parts.count == 5, parts[1].elementsEqual("tenant".utf8), parts[3].elementsEqual("instance".utf8) {
            tenantID = Self.name(parts[2])
            instanceID = tenantID == nil ? nil : Self.name(parts[4])
        }
        guard let instanceID else {
            throw GuestIdentityError(
                "The certificate's SPIFFE URI is neither \(form) nor spiffe://\(trustDomain)/tenant/TENANT/instance/ID. "
                    + "ID and TENANT have \(Self.rule).")
        }
        return GuestIdentity(instanceID: instanceID, tenantID: tenantID)
    }

    private static let rule = "1 to \(Self.longestName) ASCII letters, digits, hyphens, underscores or dots"

    /// Whether the URI's scheme is SPIFFE, in upper or lower case: a malformed SPIFFE URI must not hide behind a good
    /// one.
    private static func isSPIFFE(_ uri: String) -> Bool {
        // Setting this bit turns capitals into small letters. Nothing else that a URI may begin with becomes a letter
        // or a colon.
        uri.utf8.prefix(7).lazy.map { $0 | 0x20 }.elementsEqual("spiffe:".utf8)
    }

    /// Returns the text as a name, or nil. A name has only characters that a SPIFFE ID's path allows between two
    /// slashes. So it contains nothing else of a URI (a query, a fragment, an escape), and no log or payload that it
    /// passes through changes it.
    private static func name(_ bytes: ArraySlice<UInt8>) -> String? {
        guard (1...Self.longestName).contains(bytes.count), bytes.allSatisfy(\.isDottedNameByte),
            !bytes.elementsEqual(".".utf8), !bytes.elementsEqual("..".utf8)
        else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Whether an instance or a tenant can have this name.
    package static func isName(_ name: String) -> Bool { Self.name(Array(name.utf8)[...]) != nil }

    /// `TENANT/ID`, or `ID` if the tenant is not known: for logs.
    package var description: String { self.tenantID.map { "\($0)/\(self.instanceID)" } ?? self.instanceID }
}

/// The reason that a certificate does not identify a guest.
package struct GuestIdentityError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Sentences for the issuer of certificates, without any text of the certificate itself.
    package let description: String

    init(_ description: String) { self.description = description }
}
