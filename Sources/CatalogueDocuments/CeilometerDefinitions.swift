// SPDX-License-Identifier: Apache-2.0

package import Notifications

extension Catalogues {
    /// Event definitions for Ceilometer, as YAML: the traits that it makes from each event's fields.
    ///
    /// The list must be appended to the one that comes with Ceilometer, which reads a single file. When several
    /// definitions match an event, the last one is used. The list refers to nothing outside itself and has no anchors,
    /// which YAML allows only once each, so a newer list can be appended to an older one.
    ///
    /// A trait has the type of its field, except where that type could lose an event which the catalogue accepts: with
    /// an `int` that is not a number, or a `datetime` that does not parse, Ceilometer drops the whole event. All other
    /// values become text: lists and objects as Python prints them, cut at 255 characters.
    package var ceilometerEventDefinitions: String {
        var text = """

            # Event definitions for Ceilometer. Append them to its own in one file, as README.md describes.
            # Generated from the relay's catalogue, and checked by a test: change the catalogue instead.

            """
        // Definitions that match all events of a service come first, since the last match is used.
        for catalogue in self.catalogues where !catalogue.operations.isEmpty {
            let traits = CeilometerTrait.traits(of: catalogue.baseFields, ofOperation: true)
            text += CeilometerTraitSet(eventTypes: ["\(catalogue.service).*"], traits: traits).yaml
        }
        for catalogue in self.catalogues {
            var sets: [CeilometerTraitSet] = []
            for operation in catalogue.operations {
                for event in operation.events {
                    let fields = catalogue.baseFields + event.fields + catalogue.identifiers(of: operation)
                    CeilometerTraitSet.add(event, CeilometerTrait.traits(of: fields, ofOperation: true), to: &sets)
                }
            }
            for event in catalogue.events {
                CeilometerTraitSet.add(event, CeilometerTrait.traits(of: event.fields, ofOperation: false), to: &sets)
            }
            for set in sets { text += set.yaml }
        }
        return text
    }
}

/// One trait of an event: a field as Ceilometer stores it.
private struct CeilometerTrait: Equatable {
    /// The trait's name, which is the field's.
    let name: String
    /// `int`, `float` or `datetime`; nil for text.
    let type: String?
    /// The paths of the value in the data that Ceilometer gives its converter; the first one with a value other than
    /// null is used.
    let paths: [String]

    /// The paths in the request's context of values that the payload may lack. Ceilometer's own fallback for the user
    /// never matches: it looks for `user_id`, but OpenStack's contexts have `user`.
    private static let fallBacks = [
        "tenant_id": "ctxt.project_id", "user_id": "ctxt.user", "request_id": "ctxt.request_id",
    ]

    /// Returns the traits of these fields. Events with an `instance_id` get a `resource_id` from it, as Trove's events
    /// do in Ceilometer's own definitions. So does every operation, since it may be about an instance.
    static func traits(of fields: [FieldDefinition], ofOperation isOperation: Bool) -> [CeilometerTrait] {
        var traits: [CeilometerTrait] = []
        for field in fields where field.name != "resource_id" && !traits.contains(where: { $0.name == field.name }) {
            traits.append(CeilometerTrait(field))
        }
        let subjects = ["instance_id", "resource_id"].filter { name in
            fields.contains { $0.name == name } || (name == "instance_id" && isOperation)
        }
        if !subjects.isEmpty {
            traits.append(CeilometerTrait(name: "resource_id", type: nil, paths: subjects.map(Self.path)))
        }
        return traits
    }

    private init(name: String, type: String?, paths: [String]) {
        self.name = name
        self.type = type
        self.paths = paths
    }

    private init(_ field: FieldDefinition) {
        let type: String? =
            switch field.kind {
            case .integer: "int"
            case .number: "float"
            case .timestamp: "datetime"
            case .text, .boolean, .texts, .any: nil
            }
        let names = [field.name, field.alternateName].compactMap(\.self)
        self.init(
            name: field.name, type: type,
            paths: names.map(Self.path) + [Self.fallBacks[field.name]].compactMap(\.self))
    }

    /// Returns the path of a field of the payload. A name that Ceilometer's parser of paths could misread (a keyword, a
    /// word that begins with `true`) is quoted.
    private static func path(_ name: String) -> String {
        let isPlain =
            YAMLText.isWord(name) && name != "where" && !name.hasPrefix("true") && !name.hasPrefix("false")
        if isPlain { return "payload.\(name)" }
        var quoted = ""
        for character in name {
            if character == "'" || character == "\\" { quoted.append("\\") }
            quoted.append(character)
        }
        return "payload.'\(quoted)'"
    }

    /// The trait's line in the definitions.
    var yaml: String {
        var fields = self.paths.map(YAMLText.scalar).joined(separator: ", ")
        if self.paths.count > 1 { fields = "[\(fields)]" }
        if let type { fields = "{type: \(type), fields: \(fields)}" }
        return "    \(YAMLText.scalar(self.name)): \(fields)\n"
    }
}

/// One entry of the definitions: events that have the same traits.
private struct CeilometerTraitSet {
    /// The event types, or a pattern of them.
    var eventTypes: [String]
    /// The traits of these events.
    let traits: [CeilometerTrait]

    /// Adds an event to the entry with its traits, or to a new entry if there is none.
    static func add(_ event: EventDefinition, _ traits: [CeilometerTrait], to sets: inout [CeilometerTraitSet]) {
        let eventTypes = [event.eventType, event.alternateEventType].compactMap(\.self)
        if let index = sets.firstIndex(where: { $0.traits == traits }) {
            sets[index].eventTypes += eventTypes
        } else {
            sets.append(CeilometerTraitSet(eventTypes: eventTypes, traits: traits))
        }
    }

    /// The entry's lines in the definitions.
    var yaml: String {
        var text = "- event_type:\n"
        for eventType in self.eventTypes { text += "    - \(YAMLText.scalar(eventType))\n" }
        text += self.traits.isEmpty ? "  traits: {}\n" : "  traits:\n"
        for trait in self.traits { text += trait.yaml }
        return text
    }
}

/// Functions that write text so that a reader of YAML 1.1 gets it back.
private enum YAMLText {
    /// Words that are not text in YAML 1.1.
    private static let words: Set<String> = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]

    /// Returns whether the text consists of letters, digits and underscores, and does not begin with a digit.
    static func isWord(_ text: String) -> Bool {
        guard let first = text.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return text.utf8.allSatisfy(self.isWordByte)
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    /// Returns the text as it is where that is safe, and in double quotes where it is not.
    static func scalar(_ text: String) -> String {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        let isPlain =
            parts.enumerated().allSatisfy { index, part in
                self.isWord(part) || (index == parts.count - 1 && index > 0 && part == "*")
            } && !self.words.contains(text.lowercased())
        guard !isPlain else { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\\(scalar)"
            case "\u{0}"..<"\u{20}", "\u{7F}"..<"\u{A0}":
                quoted += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
