package import ConductorRPC
package import Notifications
package import TLSSocket

/// Decides what a guest may say: for the instance that its certificate names, and for no other.
package struct GuestAuthorization: Sendable {
    /// Where a certificate names its instance.
    package let source: IdentitySource
    /// Whether a certificate must name its tenant.
    package let requiresTenant: Bool
    private let permissions: GuestPermissions

    /// - Parameters:
    ///   - source: where a certificate names its instance.
    ///   - permissions: which guests may report which operations.
    ///   - requiresTenant: whether a certificate must name its tenant. One that does not lets its guest name any.
    package init(
        source: IdentitySource = .spiffe(.throwAway), permissions: GuestPermissions = .all, requiresTenant: Bool = false
    ) {
        self.source = source
        self.permissions = permissions
        self.requiresTenant = requiresTenant
    }

    /// Who stands at the other end of the connection.
    ///
    /// - Throws: ``RPCError`` `unauthenticated` when the certificate does not say so, or not as much as it must.
    package func guest(_ peer: RPCPeer) throws(RPCError) -> GuestIdentity {
        guard let certificate = peer.certificate else {
            throw Self.unauthenticated("The connection proved no identity.")
        }
        let guest: GuestIdentity
        if let known = GuestIdentity(peer.identity) {
            // Found when the connection came, by `identity(of:)`.
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

    /// The guest that a peer's certificate names, whether or not it names as much as it must.
    package func namedGuest(_ peer: RPCPeer) -> GuestIdentity? {
        GuestIdentity(peer.identity) ?? peer.certificate.flatMap { try? GuestIdentity($0, source: self.source) }
    }

    private var withoutTenant: String {
        switch self.source {
        case .spiffe(let trustDomain):
            "The certificate names no tenant, and this conductor's identity.require_tenant wants one; it must have "
                + "spiffe://\(trustDomain)/tenant/TENANT/instance/ID."
        case .commonName:
            "A common name names no tenant, and this conductor's identity.require_tenant wants one."
        }
    }

    /// Whose share a connection with this certificate has: its guest's, whatever else the certificate says.
    package func identity(of certificate: PeerCertificate) -> PeerIdentity {
        guard let guest = try? GuestIdentity(certificate, source: self.source) else { return PeerIdentity(certificate) }
        return guest.peerIdentity
    }

    /// Retryable: the fault may be this conductor's settings, and a guest whose certificate was renewed connects anew.
    private static func unauthenticated(_ message: String) -> RPCError {
        RPCError(.unauthenticated, message, retryAfterMilliseconds: 5000)
    }

    /// Checks that a guest may report this, and says what the guest left unsaid of itself.
    ///
    /// The instance, wherever context or payload name it, must be the guest's own. The tenant must be the certificate's, if
    /// that names one, and the same wherever the payloads name it. Where the event tells them and the report does not, or
    /// says them as a number, they are put into the outcome's payload. The context is left as it came, for whoever compares
    /// it with what was signed.
    ///
    /// - Parameters:
    ///   - report: what the guest sent.
    ///   - operation: what the catalogues have under the name that the context says.
    ///   - guest: who sent it.
    /// - Returns: what to publish.
    /// - Throws: ``RPCError`` `not_permitted`, or `invalid_params` for a name that is no text.
    package func check(
        _ report: OutcomeReport, _ operation: Catalogues.Operation, of guest: GuestIdentity
    ) throws(RPCError) -> OutcomeReport {
        guard self.permissions.allows(guest, operation) else {
            throw RPCError(
                .notPermitted, "The conductor's operator does not let this guest report this operation.",
                field: "params.context.operation")
        }
        if let tenantID = guest.tenantID { try Self.checkTenant(tenantID, report.context) }
        var unsaid = JSONObject()
        for field in operation.ownFields {
            let own = field.role.name(of: guest.instanceID, in: report.context)
            let said =
                try Self.check(field, own, report.outcome.payload, "params.payload")
                + Self.check(field, own, report.context.payload, "params.context.payload")
            guard field.isTold(in: report.outcome.phase) else { continue }
            if said.isEmpty { unsaid[field.name] = .string(own) }
            // Of a number some reader makes another spelling, and so another name: of 1e2, 100.0.
            for member in said where member.value.string == nil { unsaid[member.name] = .string(own) }
        }
        return unsaid.isEmpty ? report : report.saying(unsaid)
    }

    /// - Returns: what the object has of the field but null, under each of its names.
    private static func check(
        _ field: OwnField, _ own: String, _ object: JSONObject, _ path: String
    ) throws(RPCError) -> [JSONObject.Member] {
        var found: [JSONObject.Member] = []
        for member in field.found(in: object) {
            let said: String
            switch member.value {
            case .null: continue
            case .string(let text): said = text
            // As flavor ids do, an id may come as a number.
            case .number(let number): said = number.literal
            default:
                throw RPCError(
                    FieldError(
                        field: FieldError.join(path, member.name), problem: "must be a string, not \(member.value.kind)"
                    ))
            }
            guard said.hasSameBytes(as: own) else {
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
        // `_context_user_identity` is user, tenant and domains with a space between: a user with a space in it would put
        // another tenant into the second place.
        guard context.userID?.unicodeScalars.contains(where: \.separatesWords) != true else {
            throw RPCError(
                .notPermitted, "params.context.user_id has white space, behind which another tenant could be named.",
                field: "params.context.user_id")
        }
    }
}

extension OutcomeReport {
    /// The report with these members in its outcome's payload.
    fileprivate func saying(_ unsaid: JSONObject) -> OutcomeReport {
        var payload = self.outcome.payload
        // Set, not appended: it may be there as null.
        for member in unsaid.members { payload[member.name] = member.value }
        var report = self
        switch self.outcome {
        case .end: report.outcome = .end(payload: payload)
        case .error(let exception, _): report.outcome = .error(exception, payload: payload)
        }
        return report
    }
}

extension Unicode.Scalar {
    /// Whether some reader takes it for the end of a word: white space of any kind, and control characters, some of which
    /// Python splits at.
    fileprivate var separatesWords: Bool {
        self.properties.isWhitespace || self.properties.generalCategory == .control
    }
}
