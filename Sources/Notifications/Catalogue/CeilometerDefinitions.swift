extension Catalogues {
    /// Event definitions for Ceilometer, as YAML: which traits it makes of each event's fields.
    ///
    /// A list to append to the one that comes with Ceilometer, which takes a single file: of several definitions that
    /// match an event the last one counts. Nothing in it refers to anything else, and there are no anchors, of which YAML
    /// allows each but once: a newer list can be appended to an older one.
    ///
    /// A trait has the type of its field, yet never one that could lose an event which the catalogue lets pass: an `int`
    /// that is no number, or a `datetime` that does not parse, makes Ceilometer drop the whole event. Whatever else a
    /// field holds becomes text, lists and objects as Python prints them, cut at 255 characters.
    public var ceilometerEventDefinitions: String {
        var text = """

            # Event definitions for Ceilometer, to stand behind its own in one file: README.md says how.
            # Written from the relay's catalogue, and a test sees to it that they are the same: change that instead.

            """
        // What fits all events of a service comes first, since the last match counts.
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

/// One trait of an event: a field as Ceilometer keeps it.
private struct CeilometerTrait: Equatable {
    /// Its name, which is the field's.
    let name: String
    /// `int`, `float` or `datetime`; nil for text.
    let type: String?
    /// Where its value stands in what Ceilometer hands its converter; the first that is there and not null counts.
    let paths: [String]

    /// Where a consumer finds a value in the request's context when the payload has none. Ceilometer's own fall-back for
    /// the user never matches: it looks for `user_id`, where OpenStack's contexts say `user`.
    private static let fallBacks = [
        "tenant_id": "ctxt.project_id", "user_id": "ctxt.user", "request_id": "ctxt.request_id",
    ]

    /// The traits of these fields. What has an `instance_id` gets a `resource_id` from it, as Trove's events have in
    /// Ceilometer's own definitions; so does every operation, as it may be about an instance.
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

    /// The path of a field of the payload. What Ceilometer's reader of paths could take for something else (a keyword,
    /// a word that begins with `true`) is quoted.
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

    /// Its line in the definitions.
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
    /// Their traits.
    let traits: [CeilometerTrait]

    /// Puts an event into the entry with its traits, which is made if there is none.
    static func add(_ event: EventDefinition, _ traits: [CeilometerTrait], to sets: inout [CeilometerTraitSet]) {
        let eventTypes = [event.eventType, event.alternateEventType].compactMap(\.self)
        if let index = sets.firstIndex(where: { $0.traits == traits }) {
            sets[index].eventTypes += eventTypes
        } else {
            sets.append(CeilometerTraitSet(eventTypes: eventTypes, traits: traits))
        }
    }

    /// Its lines in the definitions.
    var yaml: String {
        var text = "- event_type:\n"
        for eventType in self.eventTypes { text += "    - \(YAMLText.scalar(eventType))\n" }
        text += self.traits.isEmpty ? "  traits: {}\n" : "  traits:\n"
        for trait in self.traits { text += trait.yaml }
        return text
    }
}

/// Text as YAML 1.1 reads it back.
private enum YAMLText {
    /// Words that stand for something else in YAML 1.1.
    private static let words: Set<String> = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]

    /// Whether this is letters, digits and underscores, and begins with no digit.
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

    /// The text as it is where that is safe, in double quotes where it is not.
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
