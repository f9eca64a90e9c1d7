// SPDX-License-Identifier: Apache-2.0

/// A JSON value that keeps what a relay must not change: the order of an object's members and the text of a number.
///
/// Foundation's decoder keeps neither (it uses dictionaries and `Double`), and its encoder can write neither a given
/// order nor pure ASCII, which oslo.messaging's consumers expect.
public enum JSONValue: Sendable, Hashable {
    /// `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A number, as it was written.
    case number(JSONNumber)
    /// A string.
    case string(String)
    /// An array.
    case array([JSONValue])
    /// An object, its members in the order they were written.
    case object(JSONObject)

    /// The string, if this is one.
    public var string: String? {
        guard case .string(let value) = self else { return nil }
        return value
    }

    /// The object, if this is one.
    public var object: JSONObject? {
        guard case .object(let value) = self else { return nil }
        return value
    }

    /// The elements, if this is an array.
    public var array: [JSONValue]? {
        guard case .array(let value) = self else { return nil }
        return value
    }

    /// The number as an `Int`, if this is a number without fraction or exponent that fits.
    public var integer: Int? {
        guard case .number(let value) = self else { return nil }
        return Int(value.literal)
    }

    /// Whether this is `null`.
    package var isNull: Bool { self == .null }

    /// Returns whether arrays and objects are nested deeper than the limit.
    package func nests(deeperThan limit: Int) -> Bool {
        switch self {
        case .null, .bool, .number, .string: false
        case .array(let elements): limit == 0 || elements.contains { $0.nests(deeperThan: limit - 1) }
        case .object(let object): limit == 0 || object.members.contains { $0.value.nests(deeperThan: limit - 1) }
        }
    }

    /// The number of values: this one and all values inside it.
    package var valueCount: Int {
        switch self {
        case .null, .bool, .number, .string: 1
        case .array(let elements): elements.reduce(1) { $0 + $1.valueCount }
        case .object(let object): object.members.reduce(1) { $0 + $1.value.valueCount }
        }
    }

    /// The name of the value's type for an error message: "a string", "an object" …
    package var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// Creates a JSON string.
    public init(stringLiteral value: String) { self = .string(value) }
    /// Creates a JSON number.
    public init(integerLiteral value: Int) { self = .number(JSONNumber(value)) }
    /// Creates a JSON boolean.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// Creates JSON's `null`.
    public init(nilLiteral: ()) { self = .null }
    /// Creates a JSON array.
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    /// Creates a JSON object. When two members have the same name, the later value is used.
    public init(dictionaryLiteral elements: (String, JSONValue)...) { self = .object(JSONObject(elements)) }
}

/// A JSON number, kept as its original text, so that forwarding it cannot round it.
public struct JSONNumber: Sendable, Hashable {
    /// The number in JSON's grammar, such as `-1`, `0.50` or `1e9`.
    public let literal: String

    /// Creates a whole number.
    public init(_ value: Int) { self.literal = String(value) }

    /// Creates a number; nil for infinities and NaN, which JSON cannot represent.
    public init?(_ value: Double) {
        guard value.isFinite else { return nil }
        self.literal = "\(value)"
    }

    /// Whether the number is within the range of a double, even if a double would round it. JSON's grammar allows
    /// `1e999`. Python reads that as infinity and writes infinity as invalid JSON, and other readers fail on it.
    package var isFinite: Bool {
        let text = self.literal.utf8.span
        // Nearly all numbers are short and have no exponent, so they need no conversion.
        var isPlain = text.count <= 300
        for index in text.indices where text[index] | 0x20 == UInt8(ascii: "e") { isPlain = false }
        return isPlain || Double(self.literal)?.isFinite == true
    }

    /// The problem of a number that is not finite, as the rest of a sentence.
    static let problem = "must not contain a number beyond the range of a double"

    /// - Parameter literal: text that the parser has checked to be a JSON number.
    init(validated literal: String) { self.literal = literal }
}
