// SPDX-License-Identifier: Apache-2.0

import Foundation
import Notifications
import Testing

/// A notification with values for an event's fields, and the traits that Ceilometer must make of it.
struct EventSample {
    /// How the fields are filled.
    enum Form: CaseIterable {
        /// All fields, each with a typical value of its kind.
        case complete
        /// The required fields, with the other values that their kinds accept: numbers as text, null.
        case least
    }

    /// The message that is sent.
    let message: NotificationMessage
    /// The trait of each name: its type and value, as `ceilometer_events.py` prints them.
    let traits: [String: JSONValue]

    /// The values of a request's context, for fields that the payload does not have.
    private static let context: JSONObject = [
        "request_id": "req-of-context", "user": "user-of-context", "project_id": "project-of-context",
    ]

    /// Returns a sample of every event under each of its names, in every form.
    static func all(of catalogues: Catalogues = .builtIn) throws -> [EventSample] {
        try Form.allCases.flatMap { form in
            try catalogues.catalogues.flatMap(\.allEvents).flatMap { event in
                try [event.eventType, event.alternateEventType].compactMap(\.self).map { eventType in
                    try EventSample(try #require(catalogues.event(eventType)), form)
                }
            }
        }
    }

    /// Returns the example messages of the document from which Trove's status notifications come.
    static func examples() throws -> [EventSample] {
        let file = Compatibility.directory.appending(path: "trove-status-examples.json")
        let examples = try #require(try JSONValue(json: Array(Data(contentsOf: file))).array)
        return try examples.map { example in
            let example = try #require(example.object)
            func text(_ name: String) -> String { example[name]?.string ?? "" }
            return try EventSample(
                event: try #require(Catalogues.builtIn.event(text("event_type"))),
                values: try #require(example["payload"]?.object), publisherID: text("publisher_id"),
                messageID: try #require(MessageID(text("message_id"))),
                timestamp: try #require(NotificationTimestamp(text("timestamp"))), context: JSONObject())
        }
    }

    private init(_ event: Catalogues.Event, _ form: Form) throws {
        var values = JSONObject()
        for (index, field) in Self.fields(of: event).enumerated() {
            switch form {
            case .complete: values[field.name] = Self.value(of: field, number: index)
            case .least:
                guard field.isRequired else { continue }
                values[field.name] = field.isNullable ? .null : Self.otherValue(of: field, number: index)
            }
        }
        try self.init(
            event: event, values: values, publisherID: "api.höst", messageID: MessageID(), timestamp: .now(),
            context: Self.context)
    }

    /// The sample as `oslo_listener.py` prints what it receives.
    var line: String {
        let line: JSONValue = [
            "priority": .string(self.message.priority.rawValue), "ctxt": .object(self.message.context),
            "publisher_id": .string(self.message.publisherID), "event_type": .string(self.message.eventType),
            "payload": .object(self.message.payload),
            "metadata": [
                "message_id": .string(self.message.messageID.description),
                "timestamp": .string(self.message.timestamp.description),
            ],
        ]
        return String(decoding: JSONWriter.encode(line), as: UTF8.self)
    }

    private init(
        event: Catalogues.Event, values: JSONObject, publisherID: String, messageID: MessageID,
        timestamp: NotificationTimestamp, context: JSONObject
    ) throws {
        let checked = try event.notification(
            values: values, publisherID: publisherID, messageID: messageID, timestamp: timestamp, context: context)
        try #require(checked.undeclaredFields == [])
        self.message = checked.message
        let fields = Self.fields(of: event)
        var traits: [String: JSONValue] = [:]
        for field in fields {
            guard let value = self.message.payload[field.name], !value.isNull else { continue }
            traits[field.name] = Self.trait(of: value, kind: field.kind)
        }
        func text(_ name: String, in object: JSONObject) -> JSONValue? {
            guard let value = object[name], !value.isNull else { return nil }
            return Self.trait(of: value, kind: .text)
        }
        let payload = self.message.payload
        // The traits that Ceilometer adds, and those that the kit takes from the context.
        traits["service"] = Self.trait(of: .string(publisherID), kind: .text)
        traits["tenant_id"] = text("tenant_id", in: payload) ?? text("project_id", in: context)
        traits["project_id"] = traits["tenant_id"]
        traits["request_id"] = text("request_id", in: payload) ?? text("request_id", in: context)
        if fields.contains(where: { $0.name == "user_id" }) {
            traits["user_id"] = text("user_id", in: payload) ?? text("user", in: context)
        }
        if let instance = text("instance_id", in: payload) { traits["resource_id"] = instance }
        self.traits = traits
    }

    /// Returns the fields that an event of this kind can have, each once.
    private static func fields(of event: Catalogues.Event) -> [FieldDefinition] {
        var fields = (event.operation == nil ? [] : event.catalogue.baseFields) + event.definition.fields
        for field in event.operation?.definition.start?.fields ?? []
        where event.catalogue.identifiers.contains(field.name) && !fields.contains(where: { $0.name == field.name }) {
            fields.append(field)
        }
        return fields
    }

    private static func value(of field: FieldDefinition, number: Int) -> JSONValue {
        switch field.kind {
        // More than the 255 characters that Ceilometer keeps, each of them two UTF-16 units.
        case .text where field.name == "message": .string(String(repeating: "𝄞", count: 300))
        case .text: .string("\(field.name) \(number) ü \"🐬\"\n")
        case .integer: .number(JSONNumber(number))
        case .number: "0.5"
        case .boolean: true
        case .texts: [.string("\(field.name) ü"), .string("\(number)")]
        case .timestamp: "2015-06-28T05:54:52Z"
        case .any: [["net-id": "n ü", "port": .number(JSONNumber(number)), "fixed": nil, "up": true], []]
        }
    }

    private static func otherValue(of field: FieldDefinition, number: Int) -> JSONValue {
        switch field.kind {
        case .text: .number(JSONNumber(number))
        case .integer: .string("+\(number)")
        case .number: "1e3"
        case .boolean: false
        case .texts: "ü"
        case .timestamp: "2015-07-10 20:05:29.5"
        case .any: .null
        }
    }

    /// Returns the trait of a field: its type and value.
    private static func trait(of value: JSONValue, kind: FieldDefinition.Kind) -> JSONValue {
        switch kind {
        case .integer: ["integer", .number(JSONNumber(value.integer ?? Int(value.string ?? "") ?? -1))]
        case .number: ["float", Double(value.string ?? "").flatMap(JSONNumber.init).map { .number($0) } ?? .null]
        case .timestamp:
            // Python's isoformat is oslo's form with a T.
            [
                "datetime",
                .string(
                    NotificationTimestamp(value.string ?? "")?.description.replacing(" ", with: "T") ?? "no timestamp"),
            ]
        case .text, .boolean, .texts, .any:
            [
                "string",
                .string(
                    String(String.UnicodeScalarView((value.string ?? self.python(value)).unicodeScalars.prefix(255)))),
            ]
        }
    }

    /// Returns the value as Python prints it; strings must need no escapes.
    private static func python(_ value: JSONValue) -> String {
        switch value {
        case .null: "None"
        case .bool(let value): value ? "True" : "False"
        case .number(let number): number.literal
        case .string(let string): "'\(string)'"
        case .array(let elements): "[\(elements.map(self.python).joined(separator: ", "))]"
        case .object(let object):
            "{\(object.members.map { "'\($0.name)': \(self.python($0.value))" }.joined(separator: ", "))}"
        }
    }
}
