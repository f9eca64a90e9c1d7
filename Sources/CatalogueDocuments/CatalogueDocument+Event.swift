// SPDX-License-Identifier: Apache-2.0

import Notifications

extension CatalogueDocument {
    /// Returns one event, or each event of an operation, with a table of all its fields, for people.
    ///
    /// - Parameter name: an event type, or an operation's name.
    /// - Returns: nil when no catalogue has it.
    package func text(of name: String) -> String? {
        let events = self.events(named: name)
        return events.isEmpty ? nil : events.map(self.text).joined(separator: "\n")
    }

    /// Returns the same as a JSON object in ASCII. An event has its operation and the same members as in ``json()``;
    /// its fields include the base fields of its catalogue.
    package func json(of name: String) -> String? {
        let events = self.events(named: name)
        guard !events.isEmpty else { return nil }
        let objects = events.map { event -> JSONValue in
            var object = self.json(event.definition)
            object["operation"] =
                event.operation.map { .string(event.catalogue.reportedName(of: $0.definition)) } ?? .null
            object["fields"] = .array(self.fields(of: event).map { self.json($0.definition) })
            return .object(object)
        }
        return String(decoding: JSONWriter.encode(["events": .array(objects)]), as: UTF8.self)
    }

    /// Returns the event of this type, or the events of the operation of this name.
    private func events(named name: String) -> [Catalogues.Event] {
        if let event = self.catalogues.event(name) { return [event] }
        guard let operation = self.catalogues.operation(name) else { return [] }
        return operation.definition.events.compactMap { self.catalogues.event($0.eventType) }
    }

    /// A field of an event, and whether it is required, optional or present if known.
    private struct Field {
        var definition: FieldDefinition
        var presence: String
    }

    /// Returns the base fields, the event's own fields, and the identifiers of its operation.
    private func fields(of event: Catalogues.Event) -> [Field] {
        func field(_ definition: FieldDefinition) -> Field {
            Field(definition: definition, presence: definition.isRequired ? "required" : "optional")
        }
        let own = event.definition.fields.map(field)
        guard let operation = event.operation else { return own }
        let identifiers = operation.phase == .start ? [] : event.catalogue.identifiers(of: operation.definition)
        return event.catalogue.baseFields.map(field) + own
            + identifiers.filter { !event.definition.declares($0.name) }.map {
                Field(definition: $0, presence: "if known")
            }
    }

    private func text(_ event: Catalogues.Event) -> String {
        var text = "\(event.eventType)\n"
        let description = event.operation.map { $0.definition.note } ?? event.definition.description
        if !description.isEmpty { text += "  \(description)\n" }
        text += "  queue \(self.queue(of: event.definition)), \(event.isPublished ? "published" : "switched off")\n"
        if let operation = event.operation {
            text += "  operation \(event.catalogue.reportedName(of: operation.definition))"
            if operation.phase == .start, let field = operation.definition.oneForEach {
                text += ", one for each value of \(field)"
            }
            text += "\n"
        }
        if let alternate = event.definition.alternateEventType { text += "  real Trove calls it \(alternate)\n" }
        let fields = self.fields(of: event)
        guard !fields.isEmpty else { return text + "\n  no fields\n" }
        let rows = fields.map { field -> [String] in
            let alternate = field.definition.alternateName.map { " (or \($0))" } ?? ""
            return [
                field.definition.name + alternate, field.presence, Self.type(field.definition),
                field.definition.description,
            ]
        }
        let widths = (0..<3).map { column in rows.map { $0[column].count }.max() ?? 0 }
        text += "\n"
        for row in rows {
            let columns = (0..<3).map { Self.padded(row[$0], widths[$0]) } + [row[3]]
            text += "  \(columns.joined(separator: "  "))\n"
        }
        return text
    }
}
