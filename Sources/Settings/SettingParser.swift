// SPDX-License-Identifier: Apache-2.0

/// The conversion of text into a setting's value, with the same rules for the file, the environment and flags.
///
/// The rules accept a part of what swift-configuration's environment provider accepts, so that a text accepted here
/// means the same there. They reject surprising forms: octal and sexagesimal numbers, `nan`, hexadecimal fractions.
struct SettingParser {
    /// The reason why a text is not a value of the kind. Each case carries a message that begins with "must be …".
    enum Rejection: Error, Equatable {
        /// The text cannot be understood.
        case malformed(String)
        /// The text is understood but not allowed.
        case outOfRange(String)
    }

    /// The kind of the value.
    let kind: Setting.Kind

    /// The values that the kind allows, in words that follow "must be".
    var expectation: String {
        switch kind {
        case .string: "a text that is not empty"
        case .integer(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .boolean: "true or false"
        case .strings: "a list of texts that are not empty"
        case .seconds(let range):
            "a number of seconds from \(Setting.Value.seconds(range.lowerBound)) to "
                + "\(Setting.Value.seconds(range.upperBound))"
        case .choice(let choices): "one of \(choices.joined(separator: ", "))"
        case .choices(let choices): "a list of values among \(choices.joined(separator: ", "))"
        }
    }

    /// Whether a value is a list.
    var isList: Bool {
        switch kind {
        case .strings, .choices: true
        case .string, .integer, .boolean, .seconds, .choice: false
        }
    }

    /// Returns the value of one text; a list is split at its commas.
    func value(of text: String) throws(Rejection) -> Setting.Value {
        guard !text.isEmpty else { throw .malformed("must be \(expectation), but is empty") }
        switch kind {
        case .string:
            return .string(text)
        case .integer:
            guard Self.isDecimal(text), let number = Int(text) else { throw malformed }
            return try checked(.integer(number))
        case .boolean:
            switch text.lowercased() {
            case "true", "yes", "1": return .boolean(true)
            case "false", "no", "0": return .boolean(false)
            default: throw malformed
            }
        case .seconds:
            guard text.utf8.allSatisfy(Self.numberCharacters.contains), let number = Double(text) else {
                throw malformed
            }
            return try checked(.seconds(number))
        case .choice:
            return try checked(.string(text))
        case .strings, .choices:
            let items = text.split(separator: ",", omittingEmptySubsequences: false)
            return try value(ofItems: items.map(Self.trimmed))
        }
    }

    /// Returns the value of a list's items.
    func value(ofItems items: [String]) throws(Rejection) -> Setting.Value {
        guard !items.contains("") else { throw .malformed("must be \(expectation), but has an empty item") }
        return try checked(.strings(items))
    }

    /// Returns the value if the kind allows it.
    func checked(_ value: Setting.Value) throws(Rejection) -> Setting.Value {
        switch (kind, value) {
        case (.string, .string(let text)) where !text.isEmpty, (.choice, .string(let text)) where !text.isEmpty:
            if case .choice(let choices) = kind { try checkChoice(text, choices) }
        case (.integer(let range), .integer(let number)):
            guard range.contains(number) else { throw outOfRange }
        case (.seconds(let range), .seconds(let number)):
            guard range.contains(number) else { throw outOfRange }
        case (.strings, .strings(let items)), (.choices, .strings(let items)):
            guard case .choices(let choices) = kind else { break }
            for item in items { try checkChoice(item, choices) }
        case (.boolean, .boolean):
            break
        default:
            throw malformed
        }
        return value
    }

    private var malformed: Rejection { .malformed("must be \(expectation)") }
    private var outOfRange: Rejection { .outOfRange("must be \(expectation), but is outside of it") }

    private func checkChoice(_ text: String, _ choices: [String]) throws(Rejection) {
        guard !choices.contains(text) else { return }
        throw .malformed("must be \(expectation)" + SpellingSuggestion.hint(for: text.lowercased(), among: choices))
    }

    // A leading zero is rejected: YAML 1.1 reads 010 as eight, people read it as ten.
    private static func isDecimal(_ text: String) -> Bool {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        let isNumeric = !digits.isEmpty && digits.utf8.allSatisfy("0123456789".utf8.contains)
        return isNumeric && (digits.utf8.count == 1 || !digits.hasPrefix("0"))
    }

    private static let numberCharacters = Set("0123456789.eE+-".utf8)

    private static func trimmed(_ text: Substring) -> String {
        let tail = text.drop(while: \.isWhitespace)
        guard let last = tail.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(tail[...last])
    }
}
