/// A field of an operation that holds a name of the guest that reports it: under which names it comes, and in which events
/// it is told.
package struct OwnField: Sendable, Hashable {
    /// The name that it is published under.
    package let name: String
    /// The other names that it may come under.
    package let otherNames: [String]
    /// Whose name it is.
    package let role: FieldDefinition.Role
    private let phases: Set<OperationPhase>

    /// Whether the event of this phase tells it: as one of its fields, or as an identifier that rides along.
    package func isTold(in phase: OperationPhase) -> Bool { self.phases.contains(phase) }

    /// Whether it goes by this name.
    package func isNamed(_ name: String) -> Bool {
        name.hasSameBytes(as: self.name) || self.otherNames.contains(where: name.hasSameBytes)
    }

    /// What an object has under each of the names: none of them may hold another's name.
    package func found(in object: JSONObject) -> [JSONObject.Member] {
        // Most objects have at most one of the names, which is the field's own.
        guard !self.otherNames.isEmpty else {
            return object[self.name].map { [JSONObject.Member(name: self.name, value: $0)] } ?? []
        }
        return object.members.filter { self.isNamed($0.name) }
    }

    /// The own fields of an operation. One that only the error has is among them: what it holds in a report of success is
    /// looked at as well, though it is not told.
    static func all(of operation: OperationDefinition, identifiers: [String]) -> [OwnField] {
        var names: [String] = []
        for field in operation.events.flatMap(\.fields) where field.role != nil && !names.contains(field.name) {
            names.append(field.name)
        }
        return names.compactMap { name in
            let fields = operation.events.flatMap(\.fields).filter { $0.name == name }
            guard let role = fields.compactMap(\.role).first else { return nil }
            let ridesAlong = identifiers.contains(name) && operation.start?.declares(name) == true
            let phases = OperationPhase.allCases.filter { phase in
                ridesAlong || operation.event(phase)?.declares(name) == true
            }
            return OwnField(
                name: name, otherNames: Array(Set(fields.compactMap(\.alternateName))).sorted(), role: role,
                phases: Set(phases))
        }
    }
}

extension FieldDefinition.Role {
    /// The name that a field of this role holds: of this instance's guest, that reports under this context.
    package func name(of instanceID: String, in context: NotificationContext) -> String {
        switch self {
        case .instance: instanceID
        case .tenant: context.tenantID
        }
    }
}
