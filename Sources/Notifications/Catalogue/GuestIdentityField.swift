// SPDX-License-Identifier: Apache-2.0

/// A field of an operation that holds a name of the reporting guest: the names under which it comes, and the events
/// that contain it.
package struct GuestIdentityField: Sendable, Hashable {
    /// The name under which the field is published.
    package let name: String
    /// The other names under which the field may come.
    package let otherNames: [String]
    /// The name of the guest that the field holds: its instance's or its tenant's.
    package let role: FieldDefinition.Role
    private let phases: Set<OperationPhase>

    /// Returns whether the event of this phase contains the field, as one of its own fields or as an identifier.
    package func isPublished(in phase: OperationPhase) -> Bool { self.phases.contains(phase) }

    /// Returns whether the field has this name.
    package func isNamed(_ name: String) -> Bool {
        name.hasSameBytes(as: self.name) || self.otherNames.contains(where: name.hasSameBytes)
    }

    /// Returns the members that an object has under each of the field's names: none of them may hold the name of
    /// another guest.
    package func found(in object: JSONObject) -> [JSONObject.Member] {
        // Most fields have one name only.
        guard !self.otherNames.isEmpty else {
            return object[self.name].map { [JSONObject.Member(name: self.name, value: $0)] } ?? []
        }
        return object.members.filter { self.isNamed($0.name) }
    }

    /// Returns the fields of an operation that hold a name of the guest. They include one that only the error event
    /// has: its value in a report of success is checked too, although the end event does not contain it.
    static func all(of operation: OperationDefinition, identifiers: [String]) -> [GuestIdentityField] {
        var names: [String] = []
        for field in operation.events.flatMap(\.fields) where field.role != nil && !names.contains(field.name) {
            names.append(field.name)
        }
        return names.compactMap { name in
            let fields = operation.events.flatMap(\.fields).filter { $0.name == name }
            guard let role = fields.compactMap(\.role).first else { return nil }
            let isBaseIdentifier = identifiers.contains(name) && operation.start?.declares(name) == true
            let phases = OperationPhase.allCases.filter { phase in
                isBaseIdentifier || operation.event(phase)?.declares(name) == true
            }
            return GuestIdentityField(
                name: name, otherNames: Array(Set(fields.compactMap(\.alternateName))).sorted(), role: role,
                phases: Set(phases))
        }
    }
}

extension FieldDefinition.Role {
    /// Returns the name that a field of this role holds for the guest of this instance, which reports under this
    /// context.
    package func name(of instanceID: String, in context: NotificationContext) -> String {
        switch self {
        case .instance: instanceID
        case .tenant: context.tenantID
        }
    }
}
