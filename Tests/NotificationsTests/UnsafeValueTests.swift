// SPDX-License-Identifier: Apache-2.0

import Notifications
import Testing

/// Values that make readers in other languages fail, which must not be in a message.
@Suite struct UnsafeValueTests {
    private static let origin = NotificationOrigin(publisherID: "p", serverType: "conductor", serverIP: "s")

    private static func number(_ literal: String) throws -> JSONValue { try JSONValue(json: Array(literal.utf8)) }

    private func error(_ operation: String, _ payload: JSONObject) throws -> FieldError? {
        let found = try #require(Catalogues.builtIn.operation(operation))
        do {
            _ = try found.notification(
                of: .end(payload: payload),
                context: NotificationContext(
                    operation: operation, requestID: "r", tenantID: "t", clientIP: "c",
                    payload: ["instance_id": "i", "name": "n"]),
                origin: Self.origin, messageID: MessageID(), timestamp: .now())
            return nil
        } catch {
            return error
        }
    }

    @Test(
        "A number beyond the range of a double is rejected",
        arguments: ["1e999", "-1e999", "1E+309", "1" + String(repeating: "0", count: 400)])
    func numberOutOfRange(literal: String) throws {
        let number = try Self.number(literal)
        let error = try self.error("backup_create", ["backup_id": number])
        #expect(error?.field == "payload.backup_id")
        #expect(error?.problem == "must not contain a number beyond the range of a double")
        let quotas = try #require(Catalogues.builtIn.event("dbaas.quotas"))
        for field in ["resource", "limit"] {
            var values: JSONObject = ["resource": "v", "in_use": 3, "reserved": 0, "limit": 10, "updated": nil]
            values[field] = number
            let error = #expect(throws: FieldError.self) { try quotas.notification(values: values, publisherID: "p") }
            #expect(error?.description == "payload.\(field) must not contain a number beyond the range of a double")
        }
    }

    @Test(
        "A number within the range of a double is accepted",
        arguments: ["1e308", "-1.7976931348623157e308", "1e-999", "12345678901234567890123", "0.1"])
    func numberInRange(literal: String) throws {
        #expect(try self.error("backup_create", ["backup_id": Self.number(literal)]) == nil)
    }

    @Test("A field of the kind any rejects poisonous values at any depth")
    func nestedValues() throws {
        let any = FieldDefinition(name: "any", kind: .any, isRequired: true, description: "")
        let catalogue = Catalogue(
            service: "shop", description: "", baseFields: [], identifiers: [], operations: [],
            events: [EventDefinition(eventType: "shop.any", fields: [any])])
        let event = try #require(try Catalogues([catalogue]).event("shop.any"))
        for (text, problem) in [
            (#"{"a":[{"b":1e999}]}"#, "must not contain a number beyond the range of a double"),
            (#"[{"a\u0000":1}]"#, "must not have a NUL in a member's name"),
            (#"[{"__type__":1}]"#, "must be any value except an object with __type__, not an object"),
        ] {
            let error = #expect(throws: FieldError.self) {
                try event.notification(values: ["any": Self.number(text)], publisherID: "p")
            }
            #expect(error == FieldError(field: "payload.any", problem: problem))
        }
    }

    @Test(
        "A request context with a poisonous value is rejected, or published without it",
        arguments: [
            ("user_domain", "1e999"), ("is_admin", "1e999"), ("is_admin", "1"), ("is_admin", #""yes""#),
            ("is_admin", "[]"),
        ])
    func requestContextValues(key: String, literal: String) throws {
        let text =
            #"{"operation":"user_create","request_id":"r","tenant_id":"t","client_ip":"c","request_context":{"\#(key)":\#(literal)}}"#
        let error = #expect(throws: FieldError.self) { try NotificationContext(json: Array(text.utf8)) }
        #expect(error?.field == "request_context.\(key)")
        let trove = #"""
            {"user":"u","project_id":"t","request_id":"r","\#(key)":\#(literal),"trove_notification":{"tenant_id":"t",
             "notification_classname":"trove.common.notification.DBaaSUserCreate","client_ip":"c","instance_id":"i"}}
            """#
        let troveError = #expect(throws: FieldError.self) { try NotificationContext(json: Array(trove.utf8)) }
        #expect(troveError?.field == key)
        // A program may set such a value, and another one is published instead.
        let context = NotificationContext(
            operation: "user_create", requestID: "r", tenantID: "t", clientIP: "c",
            requestContext: JSONObject([(key, try Self.number(literal))]))
        #expect(context.publishedContext[key] == (key == "is_admin" ? false : .null))
    }

    @Test(
        "The field is_admin is published as a boolean",
        arguments: [("true", true), ("false", false), ("null", false)])
    func isAdminField(literal: String, expected: Bool) throws {
        let text =
            #"{"operation":"user_create","request_id":"r","tenant_id":"t","client_ip":"c","request_context":{"is_admin":\#(literal)}}"#
        let context = try NotificationContext(json: Array(text.utf8))
        #expect(context.publishedContext["is_admin"] == .bool(expected))
    }

    @Test("A NUL is published as a replacement character", arguments: [Redaction.standard, .none])
    func replacedNUL(redaction: Redaction) throws {
        let message = NotificationMessage(
            messageID: MessageID(), publisherID: "p\u{0}", eventType: "e", priority: .error,
            payload: [
                "dbname": "a\u{0}b", "list": ["\u{0}", "x"], "deep": ["y": ["\u{0}\u{0}"]], "ü": "ü\u{0}ü",
                "number": try Self.number("1e999"),
            ],
            timestamp: .now(), context: ["user": "u\u{0}", "project_id": "t"])
        let redacted = redaction.redact(message)
        #expect(
            redacted.payload == [
                "dbname": "a\u{FFFD}b", "list": ["\u{FFFD}", "x"], "deep": ["y": ["\u{FFFD}\u{FFFD}"]],
                "ü": "ü\u{FFFD}ü",
                "number": nil,
            ])
        #expect(redacted.context["user"] == "u\u{FFFD}" && redacted.publisherID == "p\u{FFFD}")
        #expect(!Envelope.messaging.encode(redacted).contains(0))
        #expect(!String(decoding: Envelope.messagingv2.encode(redacted), as: UTF8.self).contains("u0000"))
    }

    @Test("A secret after a NUL is redacted")
    func secretAfterNUL() {
        #expect(Redaction.standard.redact("\u{0} password=hunter2\u{0}") == "\u{FFFD} password=***")
    }

    @Test("A byte order mark before JSON is skipped in files and rejected on the wire")
    func byteOrderMark() throws {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let text = Array(#"{"a":1}"#.utf8)
        #expect(try JSONValue(json: mark + text) == ["a": 1])
        #expect(throws: JSONError.self) { try JSONValue(json: mark + mark + text) }
        #expect(throws: JSONError.self) { try JSONValue(json: mark) }
        #expect(throws: JSONError.self) { try JSONParser.parse((mark + text).span) }
    }
}
