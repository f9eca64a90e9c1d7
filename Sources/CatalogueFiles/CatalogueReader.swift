// SPDX-License-Identifier: Apache-2.0

import Notifications
import Settings
import Yams

/// A reader of a catalogue file's tree, which collects all problems in it.
struct CatalogueReader {
    /// The problems, in the order in which they were found.
    private(set) var problems: [String] = []
    /// The service, which is the first part of every event type.
    private(set) var service = ""
    /// The fields that events may name: the base fields, and those that the file declares.
    private(set) var fields: [String: FieldDefinition]
    /// The event types read so far.
    var eventTypes: Set<String> = []
    private let path: String

    static let baseFields = Catalogue.defaultBaseFields
    /// The number of problems after which no more spelling suggestions are made, because each search takes time.
    private static let suggestionLimit = 20

    /// - Parameter path: the path of the file, for errors.
    init(path: String) {
        self.path = path
        self.fields = Dictionary(uniqueKeysWithValues: Self.baseFields.map { ($0.name, $0) })
    }

    /// Reads the catalogue; nil, or incomplete, when there are problems.
    mutating func catalogue(_ document: YAMLDocument) -> Catalogue? {
        guard let root = document.root else {
            self.problems.append("\(self.path): the catalogue file is empty; it must have a service.")
            return nil
        }
        let top = self.entries(
            of: FileEntry(place: "", key: "", line: root.mark?.line ?? 1, node: .mapping(root)),
            keys: ["service", "description", "base_fields", "identifiers", "fields", "operations", "events"])
        // Without the service no event type can be checked.
        guard let service = self.service(top["service"]) else { return nil }
        self.service = service
        let description = self.take(top["description"], FileEntry.text)
        let baseFields = self.baseFields(top["base_fields"])
        if let entry = top["fields"] { self.readFields(entry) }

        var operations: [OperationDefinition] = []
        for entry in top["operations"].map({ self.entries(of: $0) }) ?? [] {
            if let operation = self.operation(entry) { operations.append(operation) }
        }
        var events: [EventDefinition] = []
        for entry in top["events"].map({ self.entries(of: $0) }) ?? [] {
            if let event = self.standaloneEvent(entry) { events.append(event) }
        }
        if self.problems.isEmpty, operations.isEmpty, events.isEmpty {
            self.problems.append("\(self.path): the catalogue has neither operations nor events; declare some.")
        }
        return Catalogue(
            service: service, description: description ?? "", baseFields: baseFields,
            identifiers: self.identifiers(top["identifiers"], operations), operations: operations, events: events)
    }

    // MARK: - The top level

    private mutating func service(_ entry: FileEntry?) -> String? {
        guard let entry else {
            self.problems.append(
                "\(self.path): service is missing; set it to the name of the service that has these events.")
            return nil
        }
        guard let name = self.take(entry, FileEntry.text) else { return nil }
        guard CatalogueName.isName(name) else {
            self.reject(entry.line, "service is not a valid name; use letters, digits, _ and -")
            return nil
        }
        return name
    }

    private mutating func baseFields(_ entry: FileEntry?) -> [FieldDefinition] {
        guard let entry else { return Self.baseFields }
        var fields: [FieldDefinition] = []
        for item in self.take(entry, FileEntry.texts) ?? [] {
            let (name, line) = (item.text, item.line)
            let shown = YAMLDocument.shownKey(name)
            guard let field = Self.baseFields.first(where: { $0.name == name }) else {
                let names = Self.baseFields.map(\.name)
                self.reject(
                    line,
                    "base_fields has \(shown), which is not one of \(names.joined(separator: ", "))"
                        + self.hint(for: name, among: names))
                continue
            }
            guard !fields.contains(field) else {
                self.reject(line, "base_fields names \(shown) twice; name it once")
                continue
            }
            fields.append(field)
        }
        return fields
    }

    private mutating func identifiers(_ entry: FileEntry?, _ operations: [OperationDefinition]) -> [String] {
        guard let entry else { return [] }
        let startFields = Set(operations.flatMap { $0.start?.fields ?? [] }.map(\.name))
        var identifiers: [String] = []
        var named: Set<String> = []
        for item in self.take(entry, FileEntry.texts) ?? [] {
            let (name, line) = (item.text, item.line)
            let shown = YAMLDocument.shownKey(name)
            if !named.insert(name).inserted {
                self.reject(line, "identifiers names \(shown) twice; name it once")
            } else if self.fields[name]?.changes == true {
                self.reject(
                    line, "identifiers has \(shown), a field that changes; an identifier must not change; remove it")
            } else if startFields.contains(name) {
                identifiers.append(name)
            } else {
                self.reject(
                    line,
                    "identifiers has \(shown), which is not a field of any operation's start"
                        + self.hint(for: name, among: startFields.sorted()))
            }
        }
        return identifiers
    }

    private mutating func readFields(_ entry: FileEntry) {
        for entry in self.entries(of: entry) {
            if Self.baseFields.contains(where: { $0.name == entry.key }) {
                self.reject(
                    entry.line, "\(entry.place) is one of the base fields, which need no declaration; remove it")
            } else {
                // A field with a wrong declaration is still declared, so that events that name it cause no further
                // problems.
                self.fields[entry.key] = self.field(entry) ?? .required(entry.key, "", .any)
            }
        }
    }

    private mutating func field(_ entry: FileEntry) -> FieldDefinition? {
        guard CatalogueName.isName(entry.key) else {
            self.reject(entry.line, "\(entry.place) is not a valid field name; use letters, digits, _ and -")
            return nil
        }
        // A plain text is the description of a field of type text.
        guard entry.node.mapping != nil else {
            return self.take(entry, FileEntry.text).map { .required(entry.key, $0) }
        }
        let parts = self.entries(of: entry, keys: ["type", "description", "nullable", "role", "changes"])
        let kind = self.choice(parts["type"], FieldDefinition.Kind.self)
        let isNullable = self.take(parts["nullable"], FileEntry.boolean)
        let role = self.choice(parts["role"], FieldDefinition.Role.self)
        if role != nil, (kind ?? .text) != .text || ["message", "exception"].contains(entry.key) {
            self.reject(
                parts["role"]?.line ?? entry.line,
                "\(entry.place) has a role, which only a field of type text can have, but not message and exception; remove it"
            )
        }
        let changes = self.take(parts["changes"], FileEntry.boolean) ?? false
        if changes, role != nil {
            self.reject(
                parts["changes"]?.line ?? entry.line,
                "\(entry.place) has both changes and a role; a field with a role holds a name, which must not change; remove one of them"
            )
        }
        guard let description = parts["description"] else {
            self.reject(entry.line, "\(entry.place) has no description; describe the field")
            return nil
        }
        guard let text = self.take(description, FileEntry.text) else { return nil }
        return .required(
            entry.key, text, kind ?? .text, nullable: isNullable ?? false, role: role, changes: changes)
    }

    // MARK: - Sections

    /// Returns the entries of a section, in the order of the file.
    mutating func entries(of section: FileEntry) -> [FileEntry] {
        do {
            try section.checkNode()
        } catch {
            self.reject(error.line, error.message)
            return []
        }
        guard let mapping = section.node.mapping else {
            self.reject(section.line, section.mismatch("a section").message)
            return []
        }
        var entries: [FileEntry] = []
        for (key, node) in mapping {
            let line = key.mark?.line ?? section.line
            guard let name = key.scalar?.string, !name.isEmpty else {
                self.reject(
                    line,
                    "\(section.place.isEmpty ? "the top level" : section.place) has a key that is not a name; use a plain text as the key"
                )
                continue
            }
            if let part = key.unsupportedPart ?? (name == "<<" ? "merge keys (<<)" : nil) {
                self.reject(line, FileEntry.unsupported(part))
                continue
            }
            let place = (section.place.isEmpty ? "" : "\(section.place).") + YAMLDocument.shownKey(name)
            entries.append(FileEntry(place: place, key: name, line: line, node: node))
        }
        return entries
    }

    /// Returns the entries of a section by their keys. Any other key is a problem.
    mutating func entries(of section: FileEntry, keys: [String]) -> [String: FileEntry] {
        var known: [String: FileEntry] = [:]
        for entry in self.entries(of: section) {
            if keys.contains(entry.key) {
                known[entry.key] = entry
            } else {
                self.reject(
                    entry.line,
                    "\(entry.place) is unknown; remove or correct it"
                        + self.hint(for: entry.key, among: keys))
            }
        }
        return known
    }

    // MARK: - Problems

    /// Returns the end of a message: ` (did you mean disk_gb?)`, or an empty text.
    func hint(for name: String, among known: @autoclosure () -> [String]) -> String {
        self.problems.count < Self.suggestionLimit ? SpellingSuggestion.hint(for: name, among: known()) : ""
    }

    /// Reads a value from the entry; nil when there is no entry, or a problem was found.
    mutating func take<Value>(
        _ entry: FileEntry?, _ read: (FileEntry) -> () throws(FileProblem) -> Value
    ) -> Value? {
        guard let entry else { return nil }
        do throws(FileProblem) {
            return try read(entry)()
        } catch {
            self.reject(error.line, error.message)
            return nil
        }
    }

    /// Returns the value whose raw value is the entry's text; nil when there is no entry, or a problem was found.
    mutating func choice<Value: RawRepresentable<String> & CaseIterable>(
        _ entry: FileEntry?, _: Value.Type
    ) -> Value? {
        guard let entry, let name = self.take(entry, FileEntry.text) else { return nil }
        if let value = Value(rawValue: name) { return value }
        let names = Value.allCases.map(\.rawValue)
        self.reject(
            entry.line,
            "\(entry.place) must be one of \(names.joined(separator: ", "))" + self.hint(for: name, among: names))
        return nil
    }

    /// Records a problem at a line. The message is a clause.
    mutating func reject(_ line: Int, _ message: String) {
        self.problems.append("\(self.path):\(line): \(message).")
    }
}
