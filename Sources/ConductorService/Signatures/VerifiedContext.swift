// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC
package import Notifications

/// A context that the control plane has signed, and the rules for what a guest may report under it.
package struct VerifiedContext: Sendable {
    /// The operation, as it is remembered once one of its outcomes was sent to the broker.
    package let signed: SignedOperation
    /// The time at which the control plane signed it, in seconds since 1970.
    package let issuedAt: Double
    /// The instance that the outcome is about: the token's, or else the certificate's. Nil if neither names one.
    package let instance: String?
    /// The error for an outcome that must not be published any more; nil while the context has not expired. An outcome
    /// that was published before the expiry is still a duplicate: its sender has only missed the answer.
    package let expiryError: RPCError?
    private let context: NotificationContext
    private let operation: Catalogues.Operation
    private let phase: OperationPhase

    init(
        context: NotificationContext, operation: Catalogues.Operation, phase: OperationPhase, instance: String?,
        issuedAt: Double, signed: SignedOperation, isExpired: Bool
    ) {
        self.issuedAt = issuedAt
        self.context = context
        self.operation = operation
        self.phase = phase
        self.instance = instance
        self.signed = signed
        self.expiryError = isExpired ? .rejectedToken("has expired (exp)") : nil
    }

    /// Checks the notification that was made of the report. The fields that a guest adds at the end must not name
    /// another instance, tenant or subject than was signed. Nor may they change any other signed value, unless the
    /// catalogue declares that it changes.
    ///
    /// - Throws: ``RPCError/Code/notPermitted``, for the field `params.context.token`.
    package func check(_ message: NotificationMessage) throws(RPCError) {
        for member in message.payload.members {
            // No member is a base field: those come from the context and the conductor, and no payload can set them.
            if let field = self.operation.ownFields.first(where: { $0.isNamed(member.name) }) {
                try self.checkOwn(field, member)
            } else if !self.isExceptionField(member.name) {
                try self.check(member)
            }
        }
    }

    /// Checks a field that holds the guest's own name. It must be the name that the token or the certificate proves,
    /// whether it was signed in the payload or not, because the conductor itself fills it in.
    private func checkOwn(_ field: GuestIdentityField, _ member: JSONObject.Member) throws(RPCError) {
        guard !member.value.isNull else { return }
        guard field.role == .tenant || self.instance != nil else {
            throw .rejectedToken(
                "names no instance (instance_id), so the outcome must not name one in \(member.name.excerpt)")
        }
        let own = field.role.name(of: self.instance ?? "", in: self.context)
        guard Self.areSame(member.value, .string(own)) else { throw self.rejection(member.name) }
    }

    /// Checks any other field. A signed value must not change. A value that was not signed is the guest's to report,
    /// unless it is an identifier. A guest may report a new identifier only in the event that declares it, such as the
    /// `backup_id` of a backup that was made.
    private func check(_ member: JSONObject.Member) throws(RPCError) {
        let isNamed = { (field: FieldDefinition) in field.isNamed(member.name) }
        let ofThisEvent = self.operation.definition.event(self.phase)?.fields.first(where: isNamed)
        // Each event may know the field by other names, and it can have been signed under any of them.
        let fields = self.operation.definition.events.flatMap(\.fields).filter(isNamed)
        let isIdentifier = self.operation.catalogue.identifiers.contains { name in
            fields.contains { name.hasSameBytes(as: $0.name) }
        }
        if !isIdentifier, ofThisEvent?.changes == true { return }
        let signed = fields.compactMap { field in
            // The outcome's values are already in the form in which they are published.
            field.find(in: self.context.payload).map { field.published($0.value) }
        }.filter { !$0.isNull }
        guard signed.allSatisfy({ Self.areSame(member.value, $0) }),
            !signed.isEmpty || !isIdentifier || ofThisEvent != nil || member.value.isNull
        else { throw self.rejection(member.name) }
    }

    /// Whether the member is the text of an error's exception, whatever these names mean elsewhere.
    private func isExceptionField(_ name: String) -> Bool {
        self.phase == .error && ["message", "exception"].contains(where: name.hasSameBytes)
    }

    private func rejection(_ name: String) -> RPCError {
        .rejectedToken("was signed for another \(name.excerpt) than the outcome names")
    }

    private static func areSame(_ left: JSONValue, _ right: JSONValue) -> Bool {
        JSONWriter.encode(left) == JSONWriter.encode(right)
    }
}
