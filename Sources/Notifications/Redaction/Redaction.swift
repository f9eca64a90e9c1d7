// SPDX-License-Identifier: Apache-2.0

/// Rules that remove secrets from what is published: the values of fields by their names, and text in the places where
/// secrets usually are.
///
/// The rules know the usual places, not the secrets: a password in the middle of a sentence stays. When in doubt they
/// remove too much; removed text cannot be recovered. They also remove values that other readers cannot read: a NUL,
/// which PostgreSQL does not allow in a text, becomes U+FFFD, and a number beyond the range of a double becomes null.
/// Each rule takes time linear in the length of the text, so text from guests cannot stall the process.
///
/// ```swift
/// let redaction = try Redaction(fields: ["licence_key"], patterns: ["unlock with *"])
/// ```
public struct Redaction: Sendable {
    /// The text that replaces a secret.
    static let mark: StaticString = "***"

    private let fields: SecretNames
    private let patterns: [RedactionPattern]
    private let includesStandardRules: Bool
    /// A table of all byte values: whether the byte hints at a place of a secret, or is a NUL. A text without any such
    /// byte is clean. Most texts are ids and names, and the table recognizes them faster than any rule.
    private let triggerBytes: [Bool]

    /// The default redaction: the standard field names and patterns, URLs and private keys.
    public static let standard = Redaction(
        fields: SecretNames(Self.standardFields), patterns: Self.standardPatterns, includesStandardRules: true)
    /// A redaction that removes no secrets. It still replaces NULs, and numbers beyond the range of a double.
    public static let none = Redaction(fields: SecretNames([]), patterns: [], includesStandardRules: false)

    private init(fields: SecretNames, patterns: [RedactionPattern], includesStandardRules: Bool) {
        self.fields = fields
        self.patterns = patterns
        self.includesStandardRules = includesStandardRules
        // One of the first two follows a name, the third follows a URL's password, and a key's label contains spaces.
        var triggerBytes = includesStandardRules ? ["=", ":", "@", " "].map { UInt8(ascii: $0) } : []
        triggerBytes += patterns.flatMap(\.triggerBytes) + [0]
        self.triggerBytes = (0...UInt8.max).map { triggerBytes.contains($0.lowered) }
    }

    /// Creates the standard redaction with additional field names and patterns.
    ///
    /// - Parameters:
    ///   - fields: names of 1 to 256 bytes. The values of fields with these names become null, and text such as
    ///     `name=value` is redacted. A name also matches longer names that end in it after a `_` or `-`, or as a word
    ///     that begins with a capital. Otherwise case is ignored.
    ///   - patterns: literal text with one `*` for the secret, such as `unlock with *`, of at most 256 bytes. ASCII
    ///     case is ignored, and a space matches one or more white-space characters of any kind. The `*` matches a
    ///     quoted string, or else the text up to white space, a comma, a semicolon, a quote or a bracket; within quotes
    ///     (`'*'`) it matches a quoted string only.
    /// - Throws: ``RedactionError`` that names the field or pattern that cannot be used.
    public init(fields: [String], patterns: [String]) throws(RedactionError) {
        for field in fields where field.isEmpty || field.utf8.count > RedactionPattern.longest {
            throw RedactionError(.field, field, "must be a name of 1 to \(RedactionPattern.longest) bytes")
        }
        var parsed: [RedactionPattern] = []
        for pattern in patterns { parsed.append(try RedactionPattern(pattern)) }
        self.init(
            fields: SecretNames(Self.standardFields + fields), patterns: Self.standardPatterns + parsed,
            includesStandardRules: true)
    }

    /// Returns the object without secrets: fields with secret names become null, at any depth, and all texts are
    /// redacted.
    package func redact(_ object: JSONObject) -> JSONObject { self.change(of: object) ?? object }

    /// Returns the text with `***` in place of secrets and U+FFFD in place of NULs. Quotes around secrets stay, and so
    /// does every other byte.
    package func redact(_ text: String) -> String { self.change(of: text) ?? text }

    /// Returns the error with its type, text and trace redacted.
    package func redact(_ exception: ExceptionInfo) -> ExceptionInfo {
        ExceptionInfo(
            etype: self.redact(exception.etype), value: self.redact(exception.value),
            trace: exception.trace.map { self.redact($0) })
    }

    /// Returns the outcome with its fields redacted, and its error, if it has one.
    package func redact(_ outcome: OperationOutcome) -> OperationOutcome {
        switch outcome {
        case .end(let payload): .end(payload: self.redact(payload))
        case .error(let exception, let payload): .error(self.redact(exception), payload: self.redact(payload))
        }
    }

    /// Returns the notification with its payload and context redacted, and without NULs in its publisher's id.
    package func redact(_ notification: NotificationMessage) -> NotificationMessage {
        let payload = self.change(of: notification.payload)
        let context = self.change(of: notification.context).map(Self.withIdentityOfParts)
        // An operator chose this name, and it may look like anything, so it is not redacted; but NULs are replaced.
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
    /// Returns the context with `user_identity` composed again from its redacted parts. In the composed text, an
    /// apparent secret could begin in one part and end in another, so that a guest's own values could take the tenant's
    /// place.
    private static func withIdentityOfParts(_ context: JSONObject) -> JSONObject {
        let name = "user_identity"
        return JSONObject(
            unique: context.members.map { member in
                guard member.name.hasSameBytes(as: name), member.value.string != nil else { return member }
                return .init(name: name, value: RequestContext.userIdentity(context))
            })
    }
}

/// Each method returns nil when there is nothing to redact, so that clean values are neither copied nor rebuilt.
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
        if self.includesStandardRules {
            if present.contains(UInt8(ascii: "=")) || present.contains(UInt8(ascii: ":")) {
                self.fields.findAssignments(in: bytes, &secrets)
            }
            if present.contains(UInt8(ascii: "@")) { URLPasswordRule.find(in: bytes, &secrets) }
            if present.contains(UInt8(ascii: "-")) { PrivateKeyRule.find(in: bytes, &secrets) }
        }
        let patterns = self.patterns.span
        for index in patterns.indices where patterns[index].needs.isSubset(of: present) {
            patterns[index].find(in: bytes, &secrets)
        }
        // Text that was redacted before stays as it is: both the guest and the conductor redact.
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
        // Secrets begin and end next to ASCII or are whole matches, so no character was cut.
        return String(decoding: redacted, as: UTF8.self)
    }

    private static func withoutNUL(_ text: String) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + 16)
        for byte in text.utf8 { bytes.append(contentsOf: byte == 0 ? [0xEF, 0xBF, 0xBD] : [byte]) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func mayHoldSecret(_ text: Span<UInt8>) -> Bool {
        let triggerBytes = self.triggerBytes.span
        for index in text.indices where triggerBytes[Int(text[index])] { return true }
        return false
    }
}
