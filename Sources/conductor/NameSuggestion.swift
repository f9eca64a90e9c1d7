// SPDX-License-Identifier: Apache-2.0

import Notifications
import Settings

/// The suggestion for an event's or operation's name that no catalogue has.
struct NameSuggestion {
    /// The end of an error message: ` (did you mean …?)` or another hint, or an empty text.
    let hint: String

    /// - Parameters:
    ///   - name: the name that no catalogue has.
    ///   - isOperation: whether the name was meant to be an operation's, not an event's.
    ///   - catalogues: the catalogues with the known names.
    init(for name: String, isOperation: Bool, in catalogues: Catalogues) {
        if isOperation {
            self.hint = Self.operationHint(for: name, in: catalogues)
        } else {
            self.hint = Self.eventHint(for: name, in: catalogues)
        }
    }

    private static func operationHint(for name: String, in catalogues: Catalogues) -> String {
        // The name may be an event type; its operation is then suggested.
        if let operation = catalogues.event(name)?.operation?.definition {
            return " (it is an event; its operation is \(operation.key))"
        }
        let parts = name.split(separator: ".")
        if parts.count > 1, OperationPhase(rawValue: String(parts[parts.count - 1])) != nil {
            let stem = parts.dropLast().joined(separator: ".")
            if catalogues.operation(stem) != nil { return " (did you mean \(stem)?)" }
        }
        return SpellingSuggestion.hint(
            for: name, among: catalogues.catalogues.flatMap { $0.operations.map(\.key) })
    }

    private static func eventHint(for name: String, in catalogues: Catalogues) -> String {
        if let operation = catalogues.operation(name) { return self.events(of: operation.definition) }
        let known = catalogues.catalogues.flatMap { $0.allEvents.map(\.eventType) }
        if let near = SpellingSuggestion(for: name, among: known) { return " (did you mean \(near.name)?)" }
        // The name may be a mistyped operation without its phase.
        let operations = catalogues.catalogues.flatMap { catalogue in
            catalogue.operations.map { "\(catalogue.service).\($0.key)" }
        }
        guard let near = SpellingSuggestion(for: name, among: operations),
            let operation = catalogues.operation(near.name)
        else { return "; `conductor events` lists all" }
        return self.events(of: operation.definition)
    }

    private static func events(of operation: OperationDefinition) -> String {
        let types = operation.events.map(\.eventType)
        guard types.count > 1, let last = types.last else { return " (did you mean \(types.joined())?)" }
        return " (did you mean \(types.dropLast().joined(separator: ", ")) or \(last)?)"
    }
}
