// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC
package import Notifications
package import TLSChannel

/// The authorization of guests: a guest may report for the instance that its certificate names, and for no other.
package struct GuestAuthorization: Sendable {
    /// The part of a certificate that names the instance.
    package let source: IdentitySource
    /// Whether a certificate must name its tenant.
    package let requiresTenant: Bool
    private let permissions: GuestPermissions

    /// - Parameters:
    ///   - source: the part of a certificate that names the instance.
    ///   - permissions: the operations that each guest may report.
    ///   - requiresTenant: whether a certificate must name its tenant. A guest whose certificate does not can name any
    ///     tenant.
    package init(
        source: IdentitySource = .spiffe(.trial), permissions: GuestPermissions = .all, requiresTenant: Bool = false
    ) {
        self.source = source
        self.permissions = permissions
        self.requiresTenant = requiresTenant
    }

    /// Returns the guest at the other end of the connection.
    ///
    /// - Throws: ``RPCError`` `unauthenticated` if the certificate names no guest, or lacks a required tenant.
    package func guest(_ peer: RPCPeer) throws(RPCError) -> GuestIdentity {
        guard let certificate = peer.certificate else {
            throw Self.unauthenticated("The connection has no client certificate; connect with one.")
        }
        let guest: GuestIdentity
        if let known = GuestIdentity(peer.identity) {
            // Read when the guest connected, by `identity(of:)`.
            guest = known
        } else {
            do {
                guest = try GuestIdentity(certificate, source: self.source)
            } catch {
                throw Self.unauthenticated(error.description)
            }
        }
        guard guest.tenantID != nil || !self.requiresTenant else { throw Self.unauthenticated(self.withoutTenant) }
        return guest
    }

    /// Returns the guest that a peer's certificate names, even if a required tenant is missing.
    package func namedGuest(_ peer: RPCPeer) -> GuestIdentity? {
        GuestIdentity(peer.identity) ?? peer.certificate.flatMap { try? GuestIdentity($0, source: self.source) }
    }

    private var withoutTenant: String {
        switch self.source {
        case .spiffe(let trustDomain):
            "The certificate names no tenant, and this conductor's identity.require_tenant requires one; it must have "
                + "spiffe://\(trustDomain)/tenant/TENANT/instance/ID."
        case .commonName:
            "A common name names no tenant, and this conductor's identity.require_tenant requires one."
        }
    }

    /// Returns the identity whose rate limits a connection with this certificate counts against: its guest's, whatever
    /// else the certificate says.
    package func identity(of certificate: PeerCertificate) -> PeerIdentity {
        guard let guest = try? GuestIdentity(certificate, source: self.source) else { return PeerIdentity(certificate) }
        return guest.peerIdentity
    }

    /// Returns a retryable error: the fault may be this conductor's settings, and a guest whose certificate was renewed
    /// connects again.
    private static func unauthenticated(_ message: String) -> RPCError {
        RPCError(.unauthenticated, message, retryAfterMilliseconds: 5000)
    }

    /// Checks that a guest may report this, and fills in the guest's own names that the report leaves out.
    ///
    /// The instance must be the guest's own wherever the context or a payload names it. The tenant must be the
    /// certificate's, if the certificate names one, and the same wherever a payload names it. If the event declares
    /// these names and the report leaves them out or has them as numbers, they are set in the outcome's payload. The
    /// context does not change, so that it can be compared with the signed one.
    ///
    /// - Parameters:
    ///   - report: the guest's report.
    ///   - operation: the operation of the catalogues that the report's context names.
    ///   - guest: the sender of the report.
    /// - Returns: the report to publish.
    /// - Throws: ``RPCError`` `not_permitted`, or `invalid_params` for a name that is neither a string nor a number.
    package func check(
        _ report: OutcomeReport, _ operation: Catalogues.Operation, of guest: GuestIdentity
    ) throws(RPCError) -> OutcomeReport {
        guard self.permissions.allows(guest, operation) else {
            throw RPCError(
                .notPermitted, "The conductor's operator does not let this guest report this operation.",
                field: "params.context.operation")
        }
        if let tenantID = guest.tenantID { try Self.checkTenant(tenantID, report.context) }
        var omitted = JSONObject()
        for field in operation.ownFields {
            let own = field.role.name(of: guest.instanceID, in: report.context)
            let stated =
                try Self.check(field, own, report.outcome.payload, "params.payload")
                + Self.check(field, own, report.context.payload, "params.context.payload")
            guard field.isPublished(in: report.outcome.phase) else { continue }
            if stated.isEmpty { omitted[field.name] = .string(own) }
            // Some readers write a number in another form, such as 1e2 as 100.0, and that would be another name.
            for member in stated where member.value.string == nil { omitted[member.name] = .string(own) }
        }
        return omitted.isEmpty ? report : report.adding(omitted)
    }

    /// Checks the values of one field.
    ///
    /// - Returns: the object's members with one of the field's names, without those that are null.
    private static func check(
        _ field: GuestIdentityField, _ own: String, _ object: JSONObject, _ path: String
    ) throws(RPCError) -> [JSONObject.Member] {
        var found: [JSONObject.Member] = []
        for member in field.found(in: object) {
            let stated: String
            switch member.value {
            case .null: continue
            case .string(let text): stated = text
            // An id may come as a number, as flavor ids do.
            case .number(let number): stated = number.literal
            default:
                throw RPCError(
                    FieldError(
                        field: FieldError.join(path, member.name), problem: "must be a string, not \(member.value.kind)"
                    ))
            }
            guard stated.hasSameBytes(as: own) else {
                throw RPCError(
                    .notPermitted, "\(path).\(member.name) is another \(field.role) than the guest's own.",
                    field: FieldError.join(path, member.name))
            }
            found.append(member)
        }
        return found
    }

    private static func checkTenant(_ tenantID: String, _ context: NotificationContext) throws(RPCError) {
        guard context.tenantID.hasSameBytes(as: tenantID) else {
            throw RPCError(
                .notPermitted, "params.context.tenant_id is another tenant than the guest's own.",
                field: "params.context.tenant_id")
        }
        // `_context_user_identity` is user, tenant and domains with a space between them. A user with a space in it
        // would put another tenant into the second place.
        guard context.userID?.unicodeScalars.contains(where: \.separatesWords) != true else {
            throw RPCError(
                .notPermitted,
                "params.context.user_id has white space or a control character, after which another tenant could be named.",
                field: "params.context.user_id")
        }
    }
}

extension OutcomeReport {
    /// Returns the report with these members in its outcome's payload.
    fileprivate func adding(_ omitted: JSONObject) -> OutcomeReport {
        var payload = self.outcome.payload
        // Set, not appended: the member may be there as null.
        for member in omitted.members { payload[member.name] = member.value }
        var report = self
        switch self.outcome {
        case .end: report.outcome = .end(payload: payload)
        case .error(let exception, _): report.outcome = .error(exception, payload: payload)
        }
        return report
    }
}

extension Unicode.Scalar {
    /// Whether some readers end a word at this character: white space of any kind, and control characters, at some of
    /// which Python splits.
    fileprivate var separatesWords: Bool {
        self.properties.isWhitespace || self.properties.generalCategory == .control
    }
}
