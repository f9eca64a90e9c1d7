// SPDX-License-Identifier: Apache-2.0

import Notifications

extension CatalogueDocument {
    /// Returns the manual of the events: the part that applies to all, then each catalogue. Docs/events.md is the
    /// manual of the built-in catalogues.
    package func markdown() -> String {
        ([Self.introduction] + self.catalogues.catalogues.map(self.section)).joined(separator: "\n")
    }

    private func section(_ catalogue: Catalogue) -> String {
        var parts = ["## `\(catalogue.service)`\n"]
        if !catalogue.description.isEmpty { parts.append("\(Self.escaped(catalogue.description))\n") }
        if !catalogue.operations.isEmpty {
            parts.append("Every event of these operations has:\n")
            parts.append(self.commonTable(catalogue))
            parts += catalogue.operations.map { self.section($0, of: catalogue) }
        }
        parts += catalogue.events.map(self.section)
        return parts.joined(separator: "\n")
    }

    // MARK: - Operations

    private func section(_ operation: OperationDefinition, of catalogue: Catalogue) -> String {
        var facts = ["Events: \(Self.eventTypes(operation, of: catalogue))"]
        if !operation.restAPI.isEmpty { facts.append("REST: `\(operation.restAPI)`") }
        if !operation.pythonAPI.isEmpty { facts.append("Python: `\(operation.pythonAPI)`") }
        if let troveClass = operation.troveClass { facts.append("Trove: `\(troveClass)`") }
        if let field = operation.oneForEach { facts.append("One operation for each value of `\(field)`.") }
        if !operation.note.isEmpty { facts.append(Self.escaped(operation.note)) }
        let silent = operation.events.filter { !self.isPublished($0) }.map { "`\($0.eventType)`" }
        if !silent.isEmpty { facts.append("Switched off: \(silent.joined(separator: ", "))") }

        let common = Self.commonErrorFields(catalogue)
        var rows = Rows()
        for phase in OperationPhase.allCases {
            for field in operation.event(phase)?.fields ?? [] {
                // The table of common fields lists what every error has. Such a field is repeated here only if the
                // operation has it in another event too.
                let isOwn = rows.has(field) || phase != .error || !common.contains(field)
                if isOwn { rows.mark(field, phase, field.isRequired ? "required" : "optional") }
            }
        }
        for field in operation.start?.fields ?? [] where catalogue.identifiers.contains(field.name) {
            for phase in [OperationPhase.end, .error] where operation.event(phase)?.declares(field.name) == false {
                rows.mark(field, phase, "if known")
            }
        }
        let list = facts.map { "- \($0)\n" }.joined()
        return "### `\(catalogue.reportedName(of: operation))`\n\n\(list)\n\(rows.table())"
    }

    private static func eventTypes(_ operation: OperationDefinition, of catalogue: Catalogue) -> String {
        let phases = OperationPhase.allCases.filter { operation.event($0) != nil }
        let stem = "\(catalogue.service).\(operation.key)"
        let isPlain = phases.allSatisfy { operation.event($0)?.eventType == "\(stem).\($0.rawValue)" }
        return phases.enumerated().map { index, phase in
            guard isPlain else { return "`\(operation.event(phase)?.eventType ?? "")` (\(phase.rawValue))" }
            return index == 0 ? "`\(stem).\(phase.rawValue)`" : "`.\(phase.rawValue)`"
        }.joined(separator: ", ")
    }

    /// Returns the table of the base fields, and of the fields that the error events of all operations have in common.
    private func commonTable(_ catalogue: Catalogue) -> String {
        var rows = Rows()
        for field in catalogue.baseFields {
            for phase in OperationPhase.allCases {
                rows.mark(field, phase, field.isRequired ? "required" : "optional")
            }
        }
        for field in Self.commonErrorFields(catalogue) {
            rows.mark(field, .error, field.isRequired ? "required" : "optional")
        }
        return rows.table()
    }

    private static func commonErrorFields(_ catalogue: Catalogue) -> [FieldDefinition] {
        (catalogue.operations.first?.error.fields ?? []).filter { field in
            catalogue.operations.allSatisfy { $0.error.fields.contains(field) }
        }
    }

    // MARK: - Events that stand alone

    private func section(_ event: EventDefinition) -> String {
        var sentences = event.description.isEmpty ? [] : [Self.escaped(event.description)]
        if let alternate = event.alternateEventType { sentences.append("Real Trove calls it `\(alternate)`.") }
        sentences.append("On the queue `<topic>.\(event.priority.rawValue)`.")
        if !self.isPublished(event) { sentences.append("Switched off.") }
        let rows = event.fields.map { field in
            "| \(Self.names(field)) | \(Self.type(field)) | \(field.isRequired ? "required" : "optional") "
                + "| \(Self.escaped(field.description)) |\n"
        }
        let table = rows.isEmpty ? "No fields.\n" : "| field | type | | |\n|---|---|---|---|\n" + rows.joined()
        return "### `\(event.eventType)`\n\n\(sentences.joined(separator: " "))\n\n\(table)"
    }

    // MARK: - Fields

    /// The fields of an operation's events, one row each: the events that contain the field, and whether it is
    /// required.
    private struct Rows {
        private var rows: [(field: FieldDefinition, marks: [OperationPhase: String])] = []

        func has(_ field: FieldDefinition) -> Bool { self.index(field) != nil }

        mutating func mark(_ field: FieldDefinition, _ phase: OperationPhase, _ mark: String) {
            if let index = self.index(field) {
                self.rows[index].marks[phase] = mark
            } else {
                self.rows.append((field, [phase: mark]))
            }
        }

        func table() -> String {
            guard !self.rows.isEmpty else { return "No fields of its own.\n" }
            let rows = self.rows.map { field, marks in
                let cells = OperationPhase.allCases.map { marks[$0] ?? "" }
                return "| \(CatalogueDocument.names(field)) | \(CatalogueDocument.type(field)) "
                    + "| \(cells.joined(separator: " | ")) | \(CatalogueDocument.escaped(field.description)) |\n"
            }
            return "| field | type | start | end | error | |\n|---|---|---|---|---|---|\n" + rows.joined()
        }

        private func index(_ field: FieldDefinition) -> Int? {
            self.rows.firstIndex { $0.field.name == field.name && $0.field.kind == field.kind }
        }
    }

    private static func names(_ field: FieldDefinition) -> String {
        "`\(field.name)`" + (field.alternateName.map { " or `\($0)`" } ?? "")
    }

    static func type(_ field: FieldDefinition) -> String {
        field.kind.rawValue + (field.isRequired && field.isNullable ? " or null" : "")
            + (field.role.map { ", own \($0.rawValue)" } ?? "") + (field.changes ? ", changes" : "")
    }

    /// Returns the text escaped so that Markdown shows it literally, inside a table as well.
    private static func escaped(_ text: String) -> String {
        String(text.flatMap { "|<*`\\".contains($0) ? ["\\", $0] : $0.isNewline ? [" "] : [$0] })
    }
}
