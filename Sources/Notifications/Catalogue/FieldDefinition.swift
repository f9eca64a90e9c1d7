// SPDX-License-Identifier: Apache-2.0

/// One field of an event's payload.
public struct FieldDefinition: Sendable, Hashable {
    /// The type of a field's values.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// Text. A number is accepted too, since flavor ids come as either.
        case text
        /// A whole number, or its digits as text.
        case integer
        /// A number, or its digits as text.
        case number
        /// True or false.
        case boolean
        /// A list of texts, or one text.
        case texts
        /// A time, as text: `2015-06-28T05:54:52Z`, or any other form that ``NotificationTimestamp`` reads.
        case timestamp
        /// Any value, except for objects with a member `__type__`, numbers beyond the range of a double, and names of
        /// members with a NUL.
        case any
    }

    /// A name of the reporting guest that a field can hold.
    public enum Role: String, Sendable, Hashable, CaseIterable {
        /// The guest's instance.
        case instance
        /// The tenant (project) that the guest's instance belongs to.
        case tenant
    }

    /// The name on the wire.
    package let name: String
    /// The type of the field's values.
    package let kind: Kind
    /// Whether an event without the field is rejected.
    package let isRequired: Bool
    /// Whether null counts as a value: a backup without a parent has `parent_id: null`.
    package let isNullable: Bool
    /// The name that real Trove gives the field, where it differs from the documents' name. A value is accepted under
    /// either name. It is published under the documents' name, and under the other one too if it came under that.
    package let alternateName: String?
    /// The meaning of the field, in a few words.
    package let description: String
    /// The name of the reporting guest that the field holds; nil for a field that holds anything else. A conductor
    /// rejects any other value from a guest, and fills in the field where the guest leaves it out. A field with a role
    /// is a text.
    package let role: Role?
    /// Whether the value in an outcome may differ from the one that the control plane signed at the start. A state may
    /// change; a name or a price may not.
    package let changes: Bool

    /// Creates a field.
    ///
    /// - Parameters:
    ///   - name: the name on the wire.
    ///   - kind: the type of the field's values.
    ///   - isRequired: whether an event without the field is rejected.
    ///   - isNullable: whether null counts as a value.
    ///   - alternateName: another name under which the field may come.
    ///   - description: the meaning of the field, in a few words.
    ///   - role: the name of the reporting guest that the field holds, if any; the kind must then be text.
    ///   - changes: whether the value in an outcome may differ from the signed one.
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

    /// Returns a field that must be present.
    package static func required(
        _ name: String, _ description: String, _ kind: Kind = .text, nullable isNullable: Bool = false,
        alternate: String? = nil, role: Role? = nil, changes: Bool = false
    ) -> FieldDefinition {
        FieldDefinition(
            name: name, kind: kind, isRequired: true, isNullable: isNullable, alternateName: alternate,
            description: description, role: role, changes: changes)
    }

    /// Returns a field that may be missing or null.
    package static func optional(
        _ name: String, _ description: String, _ kind: Kind = .text, alternate: String? = nil, role: Role? = nil,
        changes: Bool = false
    ) -> FieldDefinition {
        FieldDefinition(
            name: name, kind: kind, isRequired: false, isNullable: true, alternateName: alternate,
            description: description, role: role, changes: changes)
    }

    /// Returns whether the field has this name.
    package func isNamed(_ name: String) -> Bool {
        self.name.hasSameBytes(as: name) || self.alternateName.map { $0.hasSameBytes(as: name) } ?? false
    }

    /// Returns the field's value in an object, and its name there. A value under one name takes precedence over null
    /// under the other.
    package func find(in object: JSONObject) -> (name: String, value: JSONValue)? {
        let value = object[self.name]
        if let value, !value.isNull { return (self.name, value) }
        if let alternateName, let other = object[alternateName], value == nil || !other.isNull {
            return (alternateName, other)
        }
        return value.map { (self.name, $0) }
    }

    /// Checks that the field may hold the value.
    ///
    /// - Parameter path: the path of the object that contains the value.
    /// - Throws: ``FieldError`` when the field may not hold the value.
    func check(_ value: JSONValue, name: String, path: String) throws(FieldError) {
        if value.isNull, self.isRequired, !self.isNullable {
            throw FieldError(field: FieldError.join(path, name), problem: "must be \(self.kind.expectation), not null")
        }
        guard value.isNull || self.kind.accepts(value) else {
            throw FieldError(field: FieldError.join(path, name), problem: self.kind.problem(with: value))
        }
    }

    /// Returns the value in the form in which it is published: a time in a form that every consumer reads, any other
    /// value unchanged.
    ///
    /// - Parameter value: a value that the field may hold.
    package func published(_ value: JSONValue) -> JSONValue {
        guard self.kind == .timestamp, case .string(let text) = value else { return value }
        return NotificationTimestamp.published(text).map { .string($0) } ?? value
    }
}

extension FieldDefinition.Kind {
    /// Returns whether a field of this kind may hold this value, which is not null.
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

    /// Returns whether this is a decimal number within the range of a double: digits, with an optional sign, point and
    /// exponent. Swift reads more, such as hexadecimal floats, on which other readers (Ceilometer among them) fail.
    private static func isDecimal(_ text: String) -> Bool {
        guard text.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }) else { return false }
        return Double(text)?.isFinite == true
    }

    /// Returns the reason why a field of this kind may not hold this value, as the rest of a sentence.
    func problem(with value: JSONValue) -> String {
        let expected = "must be \(self.expectation)"
        switch (self, value) {
        case (.any, _): return value.problemInside ?? "\(expected), not \(value.kind)"
        case (.text, .number(let number)), (.number, .number(let number)), (.integer, .number(let number)):
            guard number.isFinite else { return JSONNumber.problem }
            return "\(expected), not \(number.literal.excerpt)"
        case (.integer, .string(let text)), (.number, .string(let text)), (.timestamp, .string(let text)):
            return "\(expected), not \(text.excerpt)"
        case (.texts, .array(let elements)):
            return "\(expected), not of \(elements.first { $0.string == nil }?.kind ?? "anything else")"
        default: return "\(expected), not \(value.kind)"
        }
    }

    /// The values that a field of this kind holds, as an error's text names them.
    package var expectation: String {
        switch self {
        case .text: "a string"
        case .integer: "a whole number"
        case .number: "a number"
        case .boolean: "true or false"
        case .texts: "a string or a list of strings"
        case .timestamp: "a time (RFC 3339) such as 2015-06-28T05:54:52Z"
        case .any: "any value except an object with __type__"
        }
    }
}

extension JSONValue {
    /// The reason why a field may not hold this value's content, as the rest of a sentence; nil when it may.
    ///
    /// kombu, which oslo.messaging uses, converts objects with a member `__type__` into Python values when the message
    /// is not in an envelope, and drops the message when it cannot.
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
                if member.name.utf8.contains(0) { return "must not have a NUL in a member's name" }
                if let problem = member.value.problemInside { return problem }
            }
            return nil
        }
    }
}
