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
        /// A moment in UTC, as text: `2015-06-28T05:54:52Z`, or any other form that ``NotificationTimestamp`` reads.
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
            throw FieldError(
                field: FieldError.join(path, name), problem: "must be \(self.kind.expectation), not \(value.kind)")
        }
    }
}

extension FieldDefinition.Kind {
    /// Whether a field of this kind may hold this value, which is not null.
    func accepts(_ value: JSONValue) -> Bool {
        switch (self, value) {
        case (.any, _): !value.holdsTypedObject
        case (.text, .string), (.text, .number): true
        case (.integer, .number): value.integer != nil
        case (.integer, .string(let digits)): digits.utf8.count <= 20 && Int(digits) != nil
        case (.number, .number(let number)): Double(number.literal)?.isFinite == true
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

    /// What a field of this kind holds, in an error's words.
    public var expectation: String {
        switch self {
        case .text: "a string"
        case .integer: "a whole number"
        case .number: "a number"
        case .boolean: "true or false"
        case .texts: "a string or a list of strings"
        case .timestamp: "a UTC time such as 2015-06-28T05:54:52Z"
        case .any: "anything but an object with __type__"
        }
    }
}

extension JSONValue {
    /// Whether an object with a member `__type__` is in here. kombu, beneath oslo.messaging, makes Python values of
    /// such objects where the message is not in an envelope, and drops the message when it cannot.
    fileprivate var holdsTypedObject: Bool {
        switch self {
        case .null, .bool, .number, .string: false
        case .array(let elements): elements.contains(where: \.holdsTypedObject)
        case .object(let object): object["__type__"] != nil || object.members.contains { $0.value.holdsTypedObject }
        }
    }
}
