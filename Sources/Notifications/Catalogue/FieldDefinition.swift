/// One field of an event's payload.
public struct FieldDefinition: Sendable, Hashable {
    /// What a field may hold.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// Text; a number is taken too, as flavor ids come as either.
        case text
        /// A whole number, or its digits as text.
        case integer
        /// A number, or its digits as text.
        case number
        /// True or false.
        case boolean
        /// A list of texts, or one text.
        case texts
        /// A moment, as text: `2015-06-28T05:54:52Z`, or any other form that ``NotificationTimestamp`` reads.
        case timestamp
        /// Anything.
        case any
    }

    /// Which of the reporting guest's own names a field holds.
    public enum Role: String, Sendable, Hashable, CaseIterable {
        /// The guest's instance.
        case instance
        /// The tenant (project) that its instance belongs to.
        case tenant
    }

    /// The name on the wire.
    public let name: String
    /// What it may hold.
    public let kind: Kind
    /// Whether an event without it is refused.
    public let isRequired: Bool
    /// Whether null counts as a value: a backup without a parent says `parent_id: null`.
    public let isNullable: Bool
    /// The name that real Trove gives the field, where it is not the documents'. A value under either name is taken; it
    /// is published under the documents' name, and under the other one too if it came so.
    public let alternateName: String?
    /// What it means.
    public let description: String
    /// Which of the reporting guest's own names the field holds: a conductor takes no other from a guest, and says it
    /// where the guest does not. Nil for a field that says anything else. A field with a role is a text.
    public let role: Role?
    /// Whether an outcome may say another value than the control plane has signed for its start, such as a state: what
    /// holds a name or a price may not.
    public let changes: Bool

    /// - Parameters:
    ///   - name: the name on the wire.
    ///   - kind: what it may hold.
    ///   - isRequired: whether an event without it is refused.
    ///   - isNullable: whether null counts as a value.
    ///   - alternateName: another name under which it may come.
    ///   - description: what it means, in a few words.
    ///   - role: which of the reporting guest's own names it holds, if any; then its kind must be text.
    ///   - changes: whether an outcome may say another value than was signed.
    public init(
        name: String, kind: Kind, isRequired: Bool, isNullable: Bool = false, alternateName: String? = nil,
        description: String, role: Role? = nil, changes: Bool = false
    ) {
        self.name = name
        self.kind = kind
        self.isRequired = isRequired
        self.isNullable = isNullable
        self.alternateName = alternateName
        self.description = description
        self.role = role
        self.changes = changes
    }

    /// A field that must be there.
    package static func required(
        _ name: String, _ description: String, _ kind: Kind = .text, nullable isNullable: Bool = false,
        alternate: String? = nil, role: Role? = nil, changes: Bool = false
    ) -> FieldDefinition {
        FieldDefinition(
            name: name, kind: kind, isRequired: true, isNullable: isNullable, alternateName: alternate,
            description: description, role: role, changes: changes)
    }

    /// A field that may be there.
    package static func optional(
        _ name: String, _ description: String, _ kind: Kind = .text, alternate: String? = nil, role: Role? = nil,
        changes: Bool = false
    ) -> FieldDefinition {
        FieldDefinition(
            name: name, kind: kind, isRequired: false, isNullable: true, alternateName: alternate,
            description: description, role: role, changes: changes)
    }

    /// Whether the field goes by this name.
    package func isNamed(_ name: String) -> Bool {
        self.name.hasSameBytes(as: name) || self.alternateName.map { $0.hasSameBytes(as: name) } ?? false
    }

    /// The field's value in an object, and the name it stands under there. Null under one name gives way to a value
    /// under the other.
    package func find(in object: JSONObject) -> (name: String, value: JSONValue)? {
        let value = object[self.name]
        if let value, !value.isNull { return (self.name, value) }
        if let alternateName, let other = object[alternateName], value == nil || !other.isNull {
            return (alternateName, other)
        }
        return value.map { (self.name, $0) }
    }

    /// - Parameter path: the path of the object that the value stands in.
    /// - Throws: ``FieldError`` when the field may not hold the value.
    func check(_ value: JSONValue, name: String, path: String) throws(FieldError) {
        if value.isNull, self.isRequired, !self.isNullable {
            throw FieldError(field: FieldError.join(path, name), problem: "must be \(self.kind.expectation), not null")
        }
        guard value.isNull || self.kind.accepts(value) else {
            throw FieldError(field: FieldError.join(path, name), problem: self.kind.problem(with: value))
        }
    }

    /// The value as it is published: a time of any form in one that every consumer reads, and all else as it is.
    ///
    /// - Parameter value: one that the field may hold.
    package func published(_ value: JSONValue) -> JSONValue {
        guard self.kind == .timestamp, case .string(let text) = value else { return value }
        return NotificationTimestamp.published(text).map { .string($0) } ?? value
    }
}

extension FieldDefinition.Kind {
    /// Whether a field of this kind may hold this value, which is not null.
    func accepts(_ value: JSONValue) -> Bool {
        switch (self, value) {
        case (.any, _): value.problemInside == nil
        case (.text, .string): true
        case (.text, .number(let number)): number.isFinite
        case (.integer, .number): value.integer != nil
        case (.integer, .string(let digits)): digits.utf8.count <= 20 && Int(digits) != nil
        case (.number, .number(let number)): number.isFinite
        case (.number, .string(let digits)): digits.utf8.count <= 64 && Self.isDecimal(digits)
        case (.boolean, .bool): true
        case (.texts, .string): true
        case (.texts, .array(let elements)): elements.allSatisfy { $0.string != nil }
        case (.timestamp, .string(let text)): NotificationTimestamp(text) != nil
        default: false
        }
    }

    /// Whether this is a number as JSON would write it, or with a plus sign before it. Swift reads more, hexadecimal
    /// floats for one, at which other readers (Ceilometer's among them) fail.
    private static func isDecimal(_ text: String) -> Bool {
        guard text.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }) else { return false }
        return Double(text)?.isFinite == true
    }

    /// Why a field of this kind may not hold this value, as the rest of a sentence.
    func problem(with value: JSONValue) -> String {
        let expected = "must be \(self.expectation)"
        switch (self, value) {
        case (.any, _): return value.problemInside ?? "\(expected), not \(value.kind)"
        case (.text, .number(let number)), (.number, .number(let number)), (.integer, .number(let number)):
            guard number.isFinite else { return JSONNumber.problem }
            return "\(expected), and \(number.literal.excerpt) is none"
        case (.integer, .string(let text)), (.number, .string(let text)), (.timestamp, .string(let text)):
            return "\(expected), and \(text.excerpt) is none"
        case (.texts, .array(let elements)):
            return "\(expected), not of \(elements.first { $0.string == nil }?.kind ?? "anything else")"
        default: return "\(expected), not \(value.kind)"
        }
    }

    /// What a field of this kind holds, in an error's words.
    public var expectation: String {
        switch self {
        case .text: "a string"
        case .integer: "a whole number"
        case .number: "a number"
        case .boolean: "true or false"
        case .texts: "a string or a list of strings"
        case .timestamp: "a time (RFC 3339) such as 2015-06-28T05:54:52Z"
        case .any: "anything but an object with __type__"
        }
    }
}

extension JSONValue {
    /// Why a field may not hold what is in here, as the rest of a sentence; nil when it may.
    ///
    /// kombu, beneath oslo.messaging, makes Python values of objects with a member `__type__` where the message is not in an
    /// envelope, and drops the message when it cannot.
    fileprivate var problemInside: String? {
        switch self {
        case .null, .bool, .string: return nil
        case .number(let number): return number.isFinite ? nil : JSONNumber.problem
        case .array(let elements):
            for element in elements {
                if let problem = element.problemInside { return problem }
            }
            return nil
        case .object(let object):
            if object["__type__"] != nil { return "must be \(FieldDefinition.Kind.any.expectation), not an object" }
            for member in object.members {
                if member.name.utf8.contains(0) { return "must have no NUL in the name of a member" }
                if let problem = member.value.problemInside { return problem }
            }
            return nil
        }
    }
}
