/// A JSON value that keeps what a relay must not change: the order of an object's members and the text of a number.
///
/// Foundation's decoder keeps neither (it goes through dictionaries and `Double`), and its encoder can write neither a
/// chosen order nor pure ASCII, which oslo.messaging's consumers are used to.
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
    public var isNull: Bool { self == .null }

    /// Whether more than so many arrays and objects stand inside one another here.
    package func nests(deeperThan limit: Int) -> Bool {
        switch self {
        case .null, .bool, .number, .string: false
        case .array(let elements): limit == 0 || elements.contains { $0.nests(deeperThan: limit - 1) }
        case .object(let object): limit == 0 || object.members.contains { $0.value.nests(deeperThan: limit - 1) }
        }
    }

    /// How many values this is: itself, and all that it holds.
    package var valueCount: Int {
        switch self {
        case .null, .bool, .number, .string: 1
        case .array(let elements): elements.reduce(1) { $0 + $1.valueCount }
        case .object(let object): object.members.reduce(1) { $0 + $1.value.valueCount }
        }
    }

    /// What this is, in the words an error message uses: "a string", "an object" …
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
    /// A JSON string.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A JSON number.
    public init(integerLiteral value: Int) { self = .number(JSONNumber(value)) }
    /// A JSON boolean.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// JSON's `null`.
    public init(nilLiteral: ()) { self = .null }
    /// A JSON array.
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    /// A JSON object; of two members with one name the later one stands.
    public init(dictionaryLiteral elements: (String, JSONValue)...) { self = .object(JSONObject(elements)) }
}

/// A JSON number, kept as the text it was written with, so that passing it on cannot round it.
public struct JSONNumber: Sendable, Hashable {
    /// The number in JSON's grammar, such as `-1`, `0.50` or `1e9`.
    public let literal: String

    /// A whole number.
    public init(_ value: Int) { self.literal = String(value) }

    /// A number, or nil for infinities and NaN, which JSON cannot say.
    public init?(_ value: Double) {
        guard value.isFinite else { return nil }
        self.literal = "\(value)"
    }

    /// Whether a double can hold it, if not exactly. JSON's grammar lets `1e999` in, which Python makes infinity of, and writes
    /// on as what is no JSON, and at which other readers fail.
    package var isFinite: Bool {
        let text = self.literal.utf8.span
        // Nearly all are short and have no exponent, and so need not be read.
        var isPlain = text.count <= 300
        for index in text.indices where text[index] | 0x20 == UInt8(ascii: "e") { isPlain = false }
        return isPlain || Double(self.literal)?.isFinite == true
    }

    /// What is wrong with a number that is not finite, as the rest of a sentence.
    static let problem = "must hold no number beyond the range of a double"

    /// - Parameter literal: text that the parser found to be a JSON number.
    init(validated literal: String) { self.literal = literal }
}
