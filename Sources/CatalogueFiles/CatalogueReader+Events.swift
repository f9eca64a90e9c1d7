// SPDX-License-Identifier: Apache-2.0

import Notifications
import Settings
import Yams

/// Reading of operations and events, and of the fields that they name.
extension CatalogueReader {
    /// Reads an entry of `operations`.
    mutating func operation(_ entry: FileEntry) -> OperationDefinition? {
        guard CatalogueName.isDottedName(entry.key), CatalogueName.isDottedName("\(self.service).\(entry.key)") else {
            self.reject(entry.line, "\(entry.place) \(Self.nameRule("operation"))")
            return nil
        }
        let parts = self.entries(
            of: entry, keys: ["rest", "python", "note", "one_for_each", "start", "end", "error"])
        var texts: [String: String] = [:]
        for key in ["rest", "python", "note", "one_for_each"] {
            texts[key] = self.take(parts[key], FileEntry.text)
        }
        let start = parts["start"].map { self.event($0, .start, of: entry) }
        let end = self.event(parts["end"], .end, of: entry)
        let error = self.event(parts["error"], .error, of: entry)
        let lists = (start?.fields ?? []).filter { $0.kind == .texts }.map(\.name)
        if let name = texts["one_for_each"], !lists.contains(name) {
            self.reject(
                parts["one_for_each"]?.line ?? entry.line,
                "\(entry.place).one_for_each must name a field of the operation's start whose type is texts"
                    + self.hint(for: name, among: lists))
        }
        return OperationDefinition(
            key: entry.key, pythonAPI: texts["python"] ?? "", restAPI: texts["rest"] ?? "", note: texts["note"] ?? "",
            start: start, end: end, error: error, oneForEach: texts["one_for_each"])
    }

    private mutating func event(
        _ entry: FileEntry?, _ phase: OperationPhase, of operation: FileEntry
    ) -> EventDefinition {
        let parts = self.eventParts(entry, keys: ["event_type", "enabled", "fields"])
        let eventType = self.eventType(
            parts.eventType, default: "\(self.service).\(operation.key).\(phase.rawValue)", of: entry ?? operation)
        // If an event named a base field, a guest could choose its value.
        for (name, line) in parts.fields where Self.baseFields.contains(where: { $0.name == name.field }) {
            self.reject(
                line,
                "\(operation.place).\(phase.rawValue) names \(name.field), which operations get from base_fields only; remove it"
            )
        }
        var fields = parts.fields.compactMap { self.fields[$0.name.field]?.as($0.name) }
        if phase == .error {
            for field in [Self.message, Self.exception].reversed() {
                guard let declared = fields.first(where: { $0.name == field.name }) else {
                    fields.insert(field, at: 0)
                    continue
                }
                guard declared.kind != field.kind, declared.kind != .any else { continue }
                self.reject(
                    entry?.line ?? operation.line,
                    "\(operation.place).error names \(field.name), whose type must be \(field.kind.rawValue) there")
            }
        }
        return EventDefinition(
            eventType: eventType, priority: phase == .error ? .error : .info, fields: fields,
            isOnByDefault: parts.isEnabled)
    }

    /// Reads an entry of `events`.
    mutating func standaloneEvent(_ entry: FileEntry) -> EventDefinition? {
        guard CatalogueName.isDottedName(entry.key) else {
            self.reject(entry.line, "\(entry.place) \(Self.nameRule("event"))")
            return nil
        }
        let parts = self.eventParts(entry, keys: ["event_type", "enabled", "fields", "priority", "description"])
        let eventType = self.eventType(parts.eventType, default: "\(self.service).\(entry.key)", of: entry)
        return EventDefinition(
            eventType: eventType, priority: parts.priority,
            fields: parts.fields.compactMap { self.fields[$0.name.field]?.as($0.name) },
            isOnByDefault: parts.isEnabled, description: parts.description)
    }

    private static let message = FieldDefinition.required("message", "The exception's text")
    private static let exception = FieldDefinition.required(
        "exception", "The exception's trace, which ends in its type and text", .texts)

    private static func nameRule(_ what: String) -> String {
        "is not a valid \(what) name: use letters, digits, _ and -, separated by dots, and including the service at most "
            + "\(CatalogueName.limit) bytes"
    }

    // MARK: - Parts of an event

    /// A field as an event names it: `disk_gb`, or `disk_gb?` when it may be missing.
    struct NamedField: Hashable {
        let field: String
        let isRequired: Bool

        init(_ text: String) {
            self.isRequired = !text.hasSuffix("?")
            self.field = String(self.isRequired ? text[...] : text.dropLast())
        }
    }

    private struct EventParts {
        var eventType: FileEntry?
        var isEnabled = true
        var priority = NotificationPriority.info
        var description = ""
        var fields: [(name: NamedField, line: Int)] = []
    }

    /// Reads the value of an event's key: a list of fields, or a section.
    private mutating func eventParts(_ entry: FileEntry?, keys: [String]) -> EventParts {
        var parts = EventParts()
        guard let entry else { return parts }
        if entry.isEmpty {
            self.reject(entry.line, "\(entry.place) has no value; write its fields as a list, or [] for none")
            return parts
        }
        guard entry.node.mapping != nil else {
            parts.fields = self.namedFields(entry)
            return parts
        }
        let entries = self.entries(of: entry, keys: keys)
        parts.eventType = entries["event_type"]
        parts.isEnabled = self.take(entries["enabled"], FileEntry.boolean) ?? true
        parts.description = self.take(entries["description"], FileEntry.text) ?? ""
        parts.priority = self.choice(entries["priority"], NotificationPriority.self) ?? .info
        if let entry = entries["fields"] { parts.fields = self.namedFields(entry) }
        return parts
    }

    private mutating func namedFields(_ entry: FileEntry) -> [(name: NamedField, line: Int)] {
        var fields: [(name: NamedField, line: Int)] = []
        var named: Set<String> = []
        for item in self.take(entry, FileEntry.texts) ?? [] {
            let (name, line) = (NamedField(item.text), item.line)
            let shown = YAMLDocument.shownKey(name.field)
            if !named.insert(name.field).inserted {
                self.reject(line, "\(entry.place) names \(shown) twice; name it once")
            } else if self.fields[name.field] == nil {
                self.reject(
                    line,
                    "\(entry.place) names \(shown), which is not declared under fields"
                        + self.hint(for: name.field, among: self.fields.keys.sorted()))
            } else {
                fields.append((name, line))
            }
        }
        return fields
    }

    private mutating func eventType(_ entry: FileEntry?, default eventType: String, of event: FileEntry) -> String {
        let name = entry.map { self.take($0, FileEntry.text) ?? eventType }
        let eventType = name ?? eventType
        let place = entry ?? event
        if !CatalogueName.isDottedName(eventType) {
            self.reject(place.line, "\(place.place): the event type \(Self.nameRule("event"))")
        } else if !eventType.hasPrefix("\(self.service).") {
            self.reject(place.line, "\(place.place) must begin with \(self.service).")
        } else if !self.eventTypes.insert(eventType).inserted {
            self.reject(
                place.line, "\(place.place): the event type \(eventType) occurs twice in this file; rename one of them")
        }
        return eventType
    }
}

extension FieldDefinition {
    /// Returns the field as required or optional, as an event names it.
    fileprivate func `as`(_ name: CatalogueReader.NamedField) -> FieldDefinition {
        // An optional field, such as `user_id`, is nullable only because it is optional.
        name.isRequired
            ? .required(
                self.name, self.description, self.kind, nullable: self.isRequired && self.isNullable, role: self.role,
                changes: self.changes)
            : .optional(self.name, self.description, self.kind, role: self.role, changes: self.changes)
    }
}
