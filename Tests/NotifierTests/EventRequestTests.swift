// SPDX-License-Identifier: Apache-2.0

import Foundation
import Notifications
import Notifier
import Testing

/// The events that `conductor notify` creates from a script's request.
@Suite struct EventRequestTests {
    private let context = NotificationContext(
        operation: "database_create", requestID: "req-1", tenantID: "tenant-1", userID: "user-1",
        clientIP: "198.51.100.7", serverIP: "192.0.2.1:8779", serverType: "api",
        payload: ["instance_id": "i-1", "dbname": "shop"])

    private func events(
        _ eventType: String, context: NotificationContext? = nil, payload: JSONObject? = nil,
        _ change: (inout EventRequest) -> Void = { _ in }
    ) throws -> [EventRequest.Checked] {
        var request = EventRequest(eventType: eventType, context: context, payload: payload, host: "h")
        change(&request)
        return try request.events(in: .builtIn)
    }

    private func error(
        _ eventType: String, context: NotificationContext? = nil, payload: JSONObject? = nil,
        _ change: (inout EventRequest) -> Void = { _ in }
    ) -> FieldError? {
        #expect(throws: FieldError.self) { try self.events(eventType, context: context, payload: payload, change) }
    }

    @Test("A start is created from its context, and a payload with it is rejected")
    func startFromContext() throws {
        let events = try self.events("dbaas.database_create.start", context: self.context)
        try #require(events.count == 1)
        let message = events[0].message
        #expect(message.publisherID == "api.h" && message.payload["dbname"] == "shop")
        #expect(message.payload["server_ip"] == "192.0.2.1:8779" && message.context["request_id"] == "req-1")
        #expect(
            self.error("dbaas.database_create.start", context: self.context, payload: [:])?.field == "payload")
    }

    @Test("An end is created from its context, with the request's server and time")
    func endFromContext() throws {
        let end = try self.events("dbaas.database_create.end", context: self.context) {
            $0.serverType = "task"
            $0.serverIP = "192.0.2.9"
            $0.timestamp = NotificationTimestamp(microsecondsSinceEpoch: 0)
        }
        #expect(end.first?.message.publisherID == "task.h")
        #expect(end.first?.message.payload["server_ip"] == "192.0.2.9")
        #expect(end.first?.message.payload["dbname"] == "shop")
        #expect(end.first?.message.timestamp.microsecondsSinceEpoch == 0)
    }

    @Test("An error's message and exception are published unchanged")
    func errorFields() throws {
        let plain = try self.events(
            "dbaas.database_create.error", context: self.context, payload: ["message": "no space"])
        #expect(plain.first?.message.payload["exception"] == ["no space"])
        #expect(plain.first?.message.priority == .error)
        // The message is empty for str(KeyboardInterrupt()) and many others.
        let silent = try self.events(
            "dbaas.database_create.error", context: self.context, payload: ["message": "", "exception": ["E"]])
        #expect(silent.first?.message.payload["message"] == "")
        #expect(silent.first?.message.payload["exception"] == ["E"])
        let traced = try self.events(
            "dbaas.database_create.error", context: self.context,
            payload: ["message": "no space", "exception": ["Traceback", "OSError: no space"], "instance_id": "i-2"])
        #expect(traced.first?.message.payload["exception"] == ["Traceback", "OSError: no space"])
        #expect(traced.first?.message.payload["instance_id"] == "i-2")
        #expect(traced.first?.undeclaredFields == [])
        let type = "dbaas.database_create.error"
        #expect(self.error(type, context: self.context)?.field == "payload.message")
        #expect(
            self.error(type, context: self.context, payload: ["message": "m", "exception": [1]])?.field
                == "payload.exception")
    }

    @Test("A context of another operation is rejected")
    func otherOperation() {
        #expect(self.error("dbaas.database_delete.end", context: self.context)?.field == "context.operation")
        #expect(self.error("dbaas.quotas", context: self.context)?.field == "context")
        var unknown = self.context
        unknown.operation = "nonsense"
        #expect(throws: UnknownEventError.self) { try self.events("dbaas.database_create.end", context: unknown) }
    }

    @Test("A server's address is required in the context or in the request")
    func serverAddress() throws {
        var context = self.context
        context.serverIP = nil
        #expect(self.error("dbaas.database_create.end", context: context)?.field == "server_ip")
        #expect(try self.events("dbaas.database_create.end", context: context) { $0.serverIP = "x" }.count == 1)
    }

    @Test("A payload without a context has all facts of the event")
    func payloadOnly() throws {
        let payload: JSONObject = [
            "tenant_id": "t", "client_ip": "c", "request_id": "r", "instance_id": "i", "dbname": ["a", "b"],
            "colour": "red",
        ]
        let ids = [MessageID(), MessageID()]
        let events = try self.events("dbaas.database_create.start", payload: payload) {
            $0.serverIP = "192.0.2.9"
            $0.messageIDs = ids
        }
        #expect(events.map(\.message.messageID) == ids)
        #expect(events.map { $0.message.payload["dbname"] } == ["a", "b"])
        for event in events {
            #expect(event.message.payload["server_type"] == "api" && event.message.payload["server_ip"] == "192.0.2.9")
            #expect(event.message.publisherID == "api.h" && event.undeclaredFields == ["colour"])
            #expect(event.message.context["request_id"] == "r" && event.message.context["project_id"] == "t")
        }
        let field = self.error("dbaas.database_create.start", payload: payload) { $0.messageIDs = [MessageID()] }
        // The missing address is found after the wrong number of message ids.
        #expect(field?.field == "message-id")
        #expect(self.error("dbaas.database_create.start", payload: payload)?.field == "payload.server_ip")
        #expect(self.error("dbaas.database_create.start")?.field == "payload")
    }

    @Test("Standalone events are published as the task manager's by default")
    func standaloneEvents() throws {
        let payload: JSONObject = ["resource": "volumes", "in_use": 3, "reserved": 0, "limit": 10, "updated": nil]
        let quota = try self.events("dbaas.quotas", payload: payload)
        #expect(quota.first?.message.publisherID == "taskmanager.h")
        #expect(quota.first?.message.context.isEmpty == true)
        #expect(try self.events("dbaas.quota", payload: payload).first?.message.eventType == "dbaas.quota")
        #expect(
            try self.events("dbaas.quotas", payload: payload) { $0.publisherID = "x.y" }.first?.message.publisherID
                == "x.y")
    }

    @Test("An event that is switched off is created and marked as not published")
    func switchedOffEvent() throws {
        let catalogues = try Catalogues([.dbaas], switchedOff: ["dbaas.database_create.start"])
        func isPublished(_ event: String) throws -> [Bool] {
            try EventRequest(eventType: event, context: self.context, host: "h").events(in: catalogues)
                .map(\.isPublished)
        }
        #expect(try isPublished("dbaas.database_create.start") == [false])
        #expect(try isPublished("dbaas.database_create.end") == [true])
    }
}
