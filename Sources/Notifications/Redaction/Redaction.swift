/// Takes secrets out of what is published: fields by their names, and in text what stands where secrets stand.
///
/// It knows the usual places, not the secrets: a password in the middle of a sentence stays. What it takes is lost, so
/// it rather takes too much. On its way it takes out what other readers choke on: a NUL, which no text of PostgreSQL may have,
/// becomes U+FFFD, and a number that no double holds null. Its time is linear in the text, for each rule: text from guests can stall nobody.
///
/// ```swift
/// let redaction = try Redaction(fields: ["licence_key"], patterns: ["unlock with *"])
/// ```
public struct Redaction: Sendable {
    /// What stands for a secret that was taken out of a text.
    static let mark: StaticString = "***"

    private let fields: SecretNames
    private let patterns: [RedactionPattern]
    private let takesUsualPlaces: Bool
    /// By each byte's number, whether it tells of a place where a secret may stand, or is a NUL: a text that has none of these is clean.
    /// Most texts are ids and names, and this tells them from the others faster than any rule.
    private let telling: [Bool]

    /// What is redacted unless somebody says otherwise.
    public static let standard = Redaction(
        fields: SecretNames(Self.standardFields), patterns: Self.standardPatterns, takesUsualPlaces: true)
    /// Takes out no secrets.
    public static let none = Redaction(fields: SecretNames([]), patterns: [], takesUsualPlaces: false)

    private init(fields: SecretNames, patterns: [RedactionPattern], takesUsualPlaces: Bool) {
        self.fields = fields
        self.patterns = patterns
        self.takesUsualPlaces = takesUsualPlaces
        // Names are followed by one of the first two, a URL's password by the third, and a key's label has spaces in it.
        var telling = takesUsualPlaces ? ["=", ":", "@", " "].map { UInt8(ascii: $0) } : []
        telling += patterns.flatMap(\.telling) + [0]
        self.telling = (0...UInt8.max).map { telling.contains($0.lowered) }
    }

    /// The standard redaction, and more.
    ///
    /// - Parameters:
    ///   - fields: names of fields whose values become null, and that are secret in text that says `name=value`. A name
    ///     also stands for names that end in it after a `_` or `-`; case does not count.
    ///   - patterns: literal text with one `*` for the secret, such as `unlock with *`. Case does not count in ASCII, and
    ///     a space stands for one or more white spaces of any kind. The `*` is a quoted string, else all up to a white
    ///     space, comma, semicolon, quote or bracket; within quotes (`'*'`) it is a quoted string only.
    /// - Throws: ``RedactionError`` that names the field or pattern that cannot be used.
    public init(fields: [String], patterns: [String]) throws(RedactionError) {
        for field in fields where field.isEmpty || field.utf8.count > RedactionPattern.longest {
            throw RedactionError(.field, field, "must be a name of 1 to \(RedactionPattern.longest) bytes")
        }
        var parsed: [RedactionPattern] = []
        for pattern in patterns { parsed.append(try RedactionPattern(pattern)) }
        self.init(
            fields: SecretNames(Self.standardFields + fields), patterns: Self.standardPatterns + parsed,
            takesUsualPlaces: true)
    }

    /// The object without secrets: fields of secret names are null, at any depth, and all texts are redacted.
    public func redact(_ object: JSONObject) -> JSONObject { self.change(of: object) ?? object }

    /// The text with `***` in the place of secrets, and U+FFFD in that of NULs; quotes around secrets stay, and so does every
    /// other byte.
    public func redact(_ text: String) -> String { self.change(of: text) ?? text }

    /// The error with its text and trace redacted.
    public func redact(_ exception: ExceptionInfo) -> ExceptionInfo {
        ExceptionInfo(
            etype: self.redact(exception.etype), value: self.redact(exception.value),
            trace: exception.trace.map { self.redact($0) })
    }

    /// The outcome with its fields, and the error's text and trace, redacted.
    public func redact(_ outcome: OperationOutcome) -> OperationOutcome {
        switch outcome {
        case .end(let payload): .end(payload: self.redact(payload))
        case .error(let exception, let payload): .error(self.redact(exception), payload: self.redact(payload))
        }
    }

    /// The notification with its payload and context redacted.
    public func redact(_ notification: NotificationMessage) -> NotificationMessage {
        let payload = self.change(of: notification.payload)
        let context = self.change(of: notification.context).map(Self.withIdentityOfParts)
        // A name that an operator has chosen, and that may look like anything, but a NUL is none.
        let publisherID = notification.publisherID.utf8.contains(0) ? Self.withoutNUL(notification.publisherID) : nil
        guard payload != nil || context != nil || publisherID != nil else { return notification }
        var redacted = NotificationMessage(
            messageID: notification.messageID, publisherID: publisherID ?? notification.publisherID,
            eventType: notification.eventType, priority: notification.priority,
            payload: payload ?? notification.payload, timestamp: notification.timestamp,
            context: context ?? notification.context)
        redacted.sender = notification.sender
        return redacted
    }
}

extension Redaction {
    /// The context with `user_identity` made of its redacted parts. In the whole text a secret that seems to begin in one
    /// part would end in another, and what a guest says of itself could take the tenant's place.
    private static func withIdentityOfParts(_ context: JSONObject) -> JSONObject {
        let name = "user_identity"
        return JSONObject(
            unique: context.members.map { member in
                guard member.name.hasSameBytes(as: name), member.value.string != nil else { return member }
                return .init(name: name, value: RequestContext.userIdentity(context))
            })
    }
}

/// Each returns nil when there is nothing to redact, so that what is clean is neither copied nor built anew.
extension Redaction {
    private func change(of value: JSONValue) -> JSONValue? {
        switch value {
        case .null, .bool: return nil
        case .number(let number): return number.isFinite ? nil : .some(.null)
        case .string(let text): return self.change(of: text).map { .string($0) }
        case .object(let object): return self.change(of: object).map { .object($0) }
        case .array(let elements):
            var changed: [JSONValue]?
            for (index, element) in elements.enumerated() {
                guard let value = self.change(of: element) else { continue }
                if changed == nil { changed = elements }
                changed?[index] = value
            }
            return changed.map { .array($0) }
        }
    }

    private func change(of object: JSONObject) -> JSONObject? {
        var changed: [JSONObject.Member]?
        for (index, member) in object.members.enumerated() {
            let value: JSONValue?
            if self.fields.isSecret(field: member.name) {
                value = member.value.isNull ? .none : .some(.null)
            } else {
                value = self.change(of: member.value)
            }
            guard let value else { continue }
            if changed == nil { changed = object.members }
            changed?[index].value = value
        }
        return changed.map { JSONObject(unique: $0) }
    }

    private func change(of text: String) -> String? {
        let bytes = text.utf8.span
        guard self.mayHoldSecret(bytes) else { return nil }
        let present = ByteSet(bytes)
        if present.contains(0) {
            let text = Self.withoutNUL(text)
            return self.change(of: text) ?? text
        }
        var secrets: [Range<Int>] = []
        if self.takesUsualPlaces {
            if present.contains(UInt8(ascii: "=")) || present.contains(UInt8(ascii: ":")) {
                self.fields.findAssignments(in: bytes, &secrets)
            }
            if present.contains(UInt8(ascii: "@")) { URLPasswords.find(in: bytes, &secrets) }
            if present.contains(UInt8(ascii: "-")) { PrivateKeys.find(in: bytes, &secrets) }
        }
        let patterns = self.patterns.span
        for index in patterns.indices where patterns[index].needs.isSubset(of: present) {
            patterns[index].find(in: bytes, &secrets)
        }
        // What was redacted before stays as it is: guest and conductor both do it.
        secrets.removeAll { bytes.holds(Self.mark, at: $0) }
        guard !secrets.isEmpty else { return nil }
        secrets.sort { $0.lowerBound < $1.lowerBound }

        var redacted: [UInt8] = []
        redacted.reserveCapacity(bytes.count)
        var copied = 0
        for secret in secrets {
            // Rules may find one secret twice, or one within another.
            if secret.lowerBound >= copied {
                for index in copied..<secret.lowerBound { redacted.append(bytes[index]) }
                redacted.append(contentsOf: Self.mark.description.utf8)
            }
            copied = max(copied, secret.upperBound)
        }
        for index in copied..<bytes.count { redacted.append(bytes[index]) }
        // Secrets begin and end beside ASCII or a whole match, so no character was cut.
        return String(decoding: redacted, as: UTF8.self)
    }

    private static func withoutNUL(_ text: String) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + 16)
        for byte in text.utf8 { bytes.append(contentsOf: byte == 0 ? [0xEF, 0xBF, 0xBD] : [byte]) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func mayHoldSecret(_ text: Span<UInt8>) -> Bool {
        let telling = self.telling.span
        for index in text.indices where telling[Int(text[index])] { return true }
        return false
    }
}
