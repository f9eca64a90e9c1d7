// SPDX-License-Identifier: Apache-2.0

import Notifications
import Testing

private let origin = NotificationOrigin(
    publisherID: "conductor.control-1", serverType: "conductor", serverIP: "192.0.2.1:8790")
private let timestamp = NotificationTimestamp("2015-06-28 05:54:57.725572")!
private let messageID = MessageID("7f8ff6b6-2f1f-40db-ae6f-c92cbc9e2827")!

private func context(_ operation: String, _ payload: JSONObject) -> NotificationContext {
    NotificationContext(
        operation: operation, requestID: "req-1", tenantID: "tenant", userID: "user", clientIP: "198.51.100.7",
        serverIP: "10.9.9.9", serverType: "api", payload: payload)
}

private func notification(
    _ outcome: OperationOutcome, _ context: NotificationContext
) throws -> NotificationMessage {
    let operation = try #require(Catalogues.builtIn.operation(context.operation))
    return try operation.notification(
        of: outcome, context: context, origin: origin, messageID: messageID, timestamp: timestamp
    ).message
}

@Suite struct NotificationOutcomeTests {
    @Test("An end has the base fields, the fields of its event and the identifiers")
    func endFields() throws {
        let end = try notification(
            .end(payload: ["backup_id": "b-1", "surprise": "dropped"]),
            context("backup_create", ["name": "nightly", "instance_id": "i-1", "description": "", "parent_id": nil]))
        #expect(end.eventType == "dbaas.backup_create.end")
        #expect(end.priority == .info)
        #expect(
            end.payload == [
                "tenant_id": "tenant", "user_id": "user", "client_ip": "198.51.100.7", "server_ip": "192.0.2.1:8790",
                "server_type": "conductor", "request_id": "req-1", "backup_id": "b-1", "instance_id": "i-1",
            ])
    }

    @Test("An error has the priority error, a message and an exception")
    func errorFields() throws {
        let error = try notification(
            .error(ExceptionInfo(etype: "DiskFull", value: "no space", trace: ["  at dump()"]), payload: [:]),
            context("database_create", ["instance_id": "i-1", "dbname": "shop"]))
        #expect(error.eventType == "dbaas.database_create.error")
        #expect(error.priority == .error)
        #expect(error.payload["message"] == "no space")
        #expect(error.payload["exception"] == ["  at dump()", "DiskFull: no space"])
        #expect(error.payload["dbname"] == "shop")
    }

    @Test("A trace that already ends with the error does not get it again")
    func traceWithError() {
        let info = ExceptionInfo(etype: "ValueError", value: "x", trace: ["Traceback:\n", "ValueError: x\n"])
        #expect(info.formatted == ["Traceback:\n", "ValueError: x\n"])
        #expect(ExceptionInfo(etype: "Killed", value: "").formatted == ["Killed"])
        #expect(ExceptionInfo(etype: "Killed", value: "", trace: ["Killed\n"]).formatted == ["Killed\n"])
        // A file whose name begins like the type does not name the error.
        let frame = ExceptionInfo(etype: "Error", value: "x", trace: ["ErrorHandler.swift:3"])
        #expect(frame.formatted == ["ErrorHandler.swift:3", "Error: x"])
    }

    /// A sender that fills every key sends null for the values that it does not know.
    @Test("A null field hides no value of the context and does not reject the outcome")
    func nullFields() throws {
        let known: JSONObject = ["name": "n", "instance_id": "i-1", "backup_id": "b-1"]
        let nothing: JSONObject = ["instance_id": nil, "backup_id": nil]
        let failed = ExceptionInfo(etype: "E", value: "")
        for outcome in [OperationOutcome.end(payload: nothing), .error(failed, payload: nothing)] {
            let payload = try notification(outcome, context("backup_create", known)).payload
            #expect(payload["instance_id"] == "i-1")
            #expect(payload["backup_id"] == (outcome.phase == .end ? "b-1" : nil))
        }
        let unknown = try notification(.end(payload: nothing), context("database_delete", ["dbname": nil])).payload
        #expect(unknown["instance_id"] == nil && unknown["dbname"] == nil)
    }

    @Test("A value under one name of a field takes precedence over null under the other")
    func nullAlternateName() throws {
        let operation = try #require(Catalogues.builtIn.operation("instance_create"))
        let start = context(
            "instance_create",
            ["name": "n", "flavor": nil, "flavor_id": 7, "datastore": "mysql", "datastore_version": "8"])
        let payload = try operation.startNotification(
            context: start, origin: origin, messageID: messageID, timestamp: timestamp
        )?.message.payload
        #expect(payload?["flavor"] == 7 && payload?["flavor_id"] == 7)
    }

    @Test("A missing or mistyped field of an end is named")
    func invalidEndFields() {
        #expect(throws: FieldError(field: "payload.instance_id", problem: "is missing")) {
            try notification(.end(payload: [:]), context("instance_create", ["name": "n"]))
        }
        #expect(throws: FieldError(field: "payload.instance_id", problem: "must be a string, not an object")) {
            try notification(.end(payload: ["instance_id": [:]]), context("instance_create", ["name": "n"]))
        }
        #expect(throws: FieldError(field: "payload.instance_id", problem: "must be a string, not null")) {
            try notification(.end(payload: ["instance_id": nil]), context("instance_create", ["name": "n"]))
        }
        #expect(throws: FieldError(field: "context.payload.dbname", problem: "must be a string, not an array")) {
            try notification(.end(payload: [:]), context("database_delete", ["instance_id": "i", "dbname": []]))
        }
    }
}

@Suite struct EnvelopeTests {
    private let sample = NotificationMessage(
        messageID: messageID, publisherID: "conductor.c", eventType: "dbaas.user_create.end", priority: .info,
        payload: ["username": "J\"ü"], timestamp: timestamp, context: ["request_id": "req-1", "user": nil])
    private static let inner =
        #"{"message_id":"7f8ff6b6-2f1f-40db-ae6f-c92cbc9e2827","publisher_id":"conductor.c","event_type":"dbaas.user_create.end","priority":"INFO","payload":{"username":"J\"\u00fc"},"timestamp":"2015-06-28 05:54:57.725572","_unique_id":"UNIQUE","_context_request_id":"req-1","_context_user":null}"#

    @Test("The messaging envelope is the message in oslo's field order")
    func messagingEnvelope() {
        let uniqueID = UniqueID()
        let body = String(decoding: Envelope.messaging.encode(self.sample, uniqueID: uniqueID), as: UTF8.self)
        #expect(body == Self.inner.replacing("UNIQUE", with: uniqueID.description))
    }

    @Test("The messagingv2 envelope holds the message as a string")
    func messagingv2Envelope() throws {
        let uniqueID = UniqueID()
        let body = Envelope.messagingv2.encode(self.sample, uniqueID: uniqueID)
        #expect(body.allSatisfy { $0 < 0x80 })
        let envelope = try #require(try JSONParser.parse(body.span).object)
        #expect(envelope.members.map(\.name) == ["oslo.version", "oslo.message"])
        #expect(envelope["oslo.version"] == "2.0")
        #expect(envelope["oslo.message"]?.string == Self.inner.replacing("UNIQUE", with: uniqueID.description))
    }

    @Test("Each encoding has its own unique id")
    func uniqueIDs() {
        #expect(Envelope.messaging.encode(self.sample) != Envelope.messaging.encode(self.sample))
    }
}
