// SPDX-License-Identifier: Apache-2.0

import Notifications

extension CatalogueDocument {
    /// Returns everything about every event, as one JSON object in ASCII. Docs/operations.md describes its members.
    package func json() -> String {
        let catalogues = self.catalogues.catalogues.map { catalogue -> JSONValue in
            [
                "service": .string(catalogue.service), "description": .string(catalogue.description),
                "base_fields": .array(catalogue.baseFields.map(self.json)),
                "identifiers": .array(catalogue.identifiers.map { .string($0) }),
                "operations": .array(catalogue.operations.map { self.json($0, of: catalogue) }),
                "events": .array(catalogue.events.map { .object(self.json($0)) }),
            ]
        }
        return String(decoding: JSONWriter.encode(["catalogues": .array(catalogues)]), as: UTF8.self)
    }

    private func json(_ operation: OperationDefinition, of catalogue: Catalogue) -> JSONValue {
        func textOrNull(_ text: String?) -> JSONValue { text.map { $0.isEmpty ? .null : .string($0) } ?? .null }
        var object: JSONObject = [
            "operation": .string(catalogue.reportedName(of: operation)), "rest_api": textOrNull(operation.restAPI),
            "python_api": textOrNull(operation.pythonAPI), "note": textOrNull(operation.note),
            "one_for_each": textOrNull(operation.oneForEach), "trove_class": textOrNull(operation.troveClass),
        ]
        for phase in OperationPhase.allCases {
            object.append(phase.rawValue, operation.event(phase).map { .object(self.json($0)) } ?? .null)
        }
        return .object(object)
    }

    func json(_ event: EventDefinition) -> JSONObject {
        [
            "event_type": .string(event.eventType),
            "alternate_event_type": event.alternateEventType.map { .string($0) } ?? .null,
            "priority": .string(event.priority.rawValue), "queue": .string(self.queue(of: event)),
            "published": .bool(self.isPublished(event)), "description": .string(event.description),
            "fields": .array(event.fields.map(self.json)),
        ]
    }

    func json(_ field: FieldDefinition) -> JSONValue {
        [
            "name": .string(field.name), "type": .string(field.kind.rawValue), "required": .bool(field.isRequired),
            "nullable": .bool(field.isNullable),
            "alternate_name": field.alternateName.map { .string($0) } ?? .null,
            "role": field.role.map { .string($0.rawValue) } ?? .null, "changes": .bool(field.changes),
            "description": .string(field.description),
        ]
    }
}

extension Catalogue {
    /// Returns the name by which a context refers to the operation: its key, with the service in front unless it is
    /// Trove's.
    func reportedName(of operation: OperationDefinition) -> String { self.names(of: operation).last ?? operation.key }
}
