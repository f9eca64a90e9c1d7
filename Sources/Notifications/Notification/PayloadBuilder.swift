// SPDX-License-Identifier: Apache-2.0

/// A source of a payload's values.
struct PayloadSource {
    /// The values, by name.
    let values: JSONObject
    /// The path of the values in the message, for errors.
    let path: String
}

/// A builder that composes a payload from declared fields.
struct PayloadBuilder {
    /// The payload so far.
    private(set) var payload = JSONObject()

    /// Creates an empty payload.
    init() { self.payload.reserveCapacity(16) }

    /// Creates a payload with an operation's base fields. `server_type` and `server_ip` are the publisher's own.
    init(base: [FieldDefinition], context: NotificationContext, origin: NotificationOrigin) {
        self.init()
        for field in base {
            switch field.name {
            case "tenant_id": self.payload.append(field.name, .string(context.tenantID))
            case "user_id": if let userID = context.userID { self.payload.append(field.name, .string(userID)) }
            case "client_ip": self.payload.append(field.name, context.publishedClientIP)
            case "server_ip": self.payload.append(field.name, .string(origin.serverIP))
            case "server_type": self.payload.append(field.name, .string(origin.serverType))
            case "request_id": self.payload.append(field.name, .string(context.requestID))
            default: break
            }
        }
    }

    /// Adds each field from the first source that has a value other than null for it, or else from the first one with
    /// null.
    ///
    /// - Throws: ``FieldError`` naming each required field that no source has, and each value of the wrong type.
    mutating func take(_ fields: [FieldDefinition], from sources: [PayloadSource]) throws(FieldError) {
        var errors: [FieldError] = []
        for field in fields {
            do throws(FieldError) {
                guard try !self.take(field, from: sources), field.isRequired else { continue }
                let path = FieldError.join(sources.first?.path ?? "", field.name)
                errors.append(FieldError(field: path, problem: "is missing"))
            } catch {
                errors.append(error)
            }
        }
        if let error = FieldError(errors) { throw error }
    }

    /// Adds the fields that are not yet in the payload and that a source has a value for.
    mutating func takeIfPresent(_ fields: [FieldDefinition], from sources: [PayloadSource]) throws(FieldError) {
        for field in fields where self.payload[field.name] == nil {
            let isKnown = sources.contains { source in
                field.find(in: source.values).map { field.isNullable || !$0.value.isNull } ?? false
            }
            if isKnown { _ = try self.take(field, from: sources) }
        }
    }

    private mutating func take(_ field: FieldDefinition, from sources: [PayloadSource]) throws(FieldError) -> Bool {
        var found: (name: String, value: JSONValue, path: String)?
        for source in sources {
            // A peer that fills every key sends null for unknown values, which must not hide a value of another source.
            guard found?.value.isNull != false, let (name, value) = field.find(in: source.values) else { continue }
            if found == nil || !value.isNull { found = (name, value, source.path) }
        }
        guard let (name, value, path) = found else { return false }
        try field.check(value, name: name, path: path)
        let published = field.published(value)
        self.payload[field.name] = published
        if name != field.name { self.payload[name] = published }
        return true
    }
}
