package import ConductorRPC
package import Notifications

/// A context that the control plane has signed, and what a guest may say under it.
package struct VerifiedContext: Sendable {
    /// What the operation is remembered by once an outcome of it was on its way.
    package let signed: SignedOperation
    /// When the control plane signed it, in seconds since 1970.
    package let issuedAt: Double
    /// The instance that the outcome is about: the token's, or else the certificate's; nil when neither names one.
    package let instance: String?
    /// Why nothing may be published under it any more; nil while it has not expired. What was published before it expired
    /// is a duplicate yet: whoever sends it again has only not heard of it.
    package let expiry: RPCError?
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
        self.expiry = isExpired ? .refusedToken("has expired (exp)") : nil
    }

    /// Checks the notification that was made of the report: what a guest adds at the end must not say that the operation was
    /// another instance's, tenant's or subject's than was signed, nor otherwise what was signed, unless the catalogue says
    /// that it changes.
    ///
    /// - Throws: ``RPCError/Code/notPermitted``, for the field `params.context.token`.
    package func check(_ message: NotificationMessage) throws(RPCError) {
        for member in message.payload.members {
            // The base fields are none of these: they are the context's and the conductor's, and no payload can say them.
            if let field = self.operation.ownFields.first(where: { $0.isNamed(member.name) }) {
                try self.checkOwn(field, member)
            } else if !self.isOfTheError(member.name) {
                try self.check(member)
            }
        }
    }

    /// A name of the guest's own is the one that the token or the certificate vouches for, whether it was signed in the
    /// payload or not: the conductor itself fills it in.
    private func checkOwn(_ field: OwnField, _ member: JSONObject.Member) throws(RPCError) {
        guard !member.value.isNull else { return }
        guard field.role == .tenant || self.instance != nil else {
            throw .refusedToken(
                "names no instance (instance_id), and so the outcome must not name one in \(member.name.excerpt)")
        }
        let own = field.role.name(of: self.instance ?? "", in: self.context)
        guard Self.areSame(member.value, .string(own)) else { throw self.refusal(member.name) }
    }

    /// A value is what was signed. One that was not signed is the guest's to tell, but for an identifier: that can only be
    /// something new that this very event is there to tell, such as the `backup_id` of a backup that was made.
    private func check(_ member: JSONObject.Member) throws(RPCError) {
        let isNamed = { (field: FieldDefinition) in field.isNamed(member.name) }
        let ofThisEvent = self.operation.definition.event(self.phase)?.fields.first(where: isNamed)
        // Each event may know the field under other names, and it can have been signed under any of them.
        let fields = self.operation.definition.events.flatMap(\.fields).filter(isNamed)
        let isIdentifier = self.operation.catalogue.identifiers.contains { name in
            fields.contains { name.hasSameBytes(as: $0.name) }
        }
        if !isIdentifier, ofThisEvent?.changes == true { return }
        let signed = fields.compactMap { field in
            // The outcome's values have the form in which they are published.
            field.find(in: self.context.payload).map { field.published($0.value) }
        }.filter { !$0.isNull }
        guard signed.allSatisfy({ Self.areSame(member.value, $0) }),
            !signed.isEmpty || !isIdentifier || ofThisEvent != nil || member.value.isNull
        else { throw self.refusal(member.name) }
    }

    /// What an error's exception says, whatever stands under these names elsewhere.
    private func isOfTheError(_ name: String) -> Bool {
        self.phase == .error && ["message", "exception"].contains(where: name.hasSameBytes)
    }

    private func refusal(_ name: String) -> RPCError {
        .refusedToken("was signed for another \(name.excerpt) than the outcome names")
    }

    private static func areSame(_ left: JSONValue, _ right: JSONValue) -> Bool {
        JSONWriter.encode(left) == JSONWriter.encode(right)
    }
}
