// SPDX-License-Identifier: Apache-2.0

import Notifications
import Testing

/// Contexts like those of real Trove, written by hand; the compatibility tests get them from Trove itself.
@Suite struct ForeignContextTests {
    private static let plain: JSONObject = [
        "user": "user-1", "project_id": "tenant-1", "domain": nil, "user_domain": "default", "roles": ["member"],
        "auth_token": "hunter2", "request_id": "req-1", "user_identity": "forged", "is_admin": true,
        "read_only": true, "limit": 5, "service_catalog": [["url": "hunter2"]], "trace_info": ["hmac_key": "hunter2"],
    ]

    private static func trove(_ notification: JSONObject, _ name: String = "DBaaSUserCreate") -> JSONObject {
        var context = Self.plain
        var notification = notification
        notification["notification_classname"] = .string("trove.common.notification.\(name)")
        context["trove_notification"] = .object(notification)
        return context
    }

    private static let notification: JSONObject = [
        "request_id": "req-2", "tenant_id": "tenant-2", "client_ip": "192.0.2.1", "server_ip": "api:1",
        "server_type": "api", "instance_id": "i", "username": "anna,ben", "host": nil,
    ]

    @Test("A Trove context is read like our own, without its credentials")
    func troveContext() throws {
        let context = try NotificationContext(Self.trove(Self.notification))
        #expect(context.operation == "user_create")
        #expect(context.requestID == "req-2")
        #expect(context.tenantID == "tenant-2")
        #expect(context.userID == "user-1")
        #expect(context.clientIP == "192.0.2.1")
        #expect(context.serverIP == "api:1")
        #expect(context.serverType == "api")
        #expect(context.payload == ["instance_id": "i", "username": "anna,ben", "host": nil])
        #expect(try NotificationContext(context.json) == context, "it travels in our form")
        #expect(!"\(context)\(context.json)".contains("hunter2"))
    }

    @Test("Fields that the notification lacks come from the surrounding context")
    func fallbackFields() throws {
        let context = try NotificationContext(Self.trove(["client_ip": "c", "request_id": nil]))
        #expect(context.requestID == "req-1")
        #expect(context.tenantID == "tenant-1")
        #expect(try NotificationContext(Self.trove(["client_ip": "c", "tenant_id": ""])).tenantID == "tenant-1")
        #expect(throws: FieldError(field: "x.trove_notification.client_ip", problem: "is missing")) {
            try NotificationContext(Self.trove([:]), path: "x")
        }
        #expect(throws: FieldError(field: "trove_notification.tenant_id", problem: "must be a string, not a number")) {
            try NotificationContext(Self.trove(["client_ip": "c", "tenant_id": 5]))
        }
    }

    /// webob has no remote address where Trove's API is behind a Unix socket. Trove publishes null then.
    @Test("An outcome whose client is unknown is published with a null address", arguments: [nil, ""] as [JSONValue])
    func unknownClient(address: JSONValue) throws {
        let context = try NotificationContext(
            Self.trove(["client_ip": address, "instance_id": nil, "name": "n"], "DBaaSBackupCreate"))
        #expect(context.clientIP == "" && context.json["client_ip"] == .null)
        #expect(try NotificationContext(context.json) == context)
        let operation = try #require(Catalogues.builtIn.operation(context.operation))
        let payload = try operation.notification(
            of: .end(payload: ["backup_id": "b"]), context: context,
            origin: NotificationOrigin(publisherID: "p", serverType: "conductor", serverIP: "s"),
            messageID: MessageID(), timestamp: .now()
        ).message.payload
        #expect(payload["client_ip"] == .null && payload["instance_id"] == .null && payload["backup_id"] == "b")
    }

    @Test("A guest model is replaced by its name")
    func guestModel() throws {
        let user: JSONValue = ["_name": "anna", "_password": "hunter2", "_databases": []]
        let context = try NotificationContext(
            Self.trove(["client_ip": "c", "username": user, "database": [user, "b"], "nics": [["id": "n"]]]))
        #expect(context.payload == ["username": "anna", "database": ["anna", "b"], "nics": [["id": "n"]]])
    }

    @Test(
        "A class that the catalogue does not have is rejected, and the error names the field",
        arguments: [
            "os.system", "trove.common.notification.TroveInstanceCreate",
            "trove.common.notification.DBaaSAPINotification",
            "trove.common.notification.DBaaSUserCreate\u{0}", "DBaaSUserCreate", "trove.common.notification.",
            "trove.common.notification.user_create", "evil.trove.common.notification.DBaaSUserCreate",
            "trove.common.notification.dbaasusercreate", "trove.common.notification.DBaaSUserCreate\u{301}",
        ])
    func unknownClass(name: String) throws {
        var context = Self.trove(Self.notification)
        var notification = Self.notification
        notification["notification_classname"] = .string(name)
        context["trove_notification"] = .object(notification)
        let error = #expect(throws: FieldError.self) { try NotificationContext(context) }
        #expect(error?.field == "trove_notification.notification_classname")
        context["trove_notification"] = .object(["client_ip": "c"])
        #expect(throws: FieldError(field: "trove_notification.notification_classname", problem: "is missing")) {
            try NotificationContext(context)
        }
    }

    @Test("An oslo context without a notification is read as none")
    func noNotification() throws {
        func read(_ object: JSONObject) throws -> NotificationContext? {
            try NotificationContext.read(json: JSONWriter.encode(.object(object)))
        }
        #expect(try read(Self.plain) == nil)
        var nothing = Self.plain
        nothing["trove_notification"] = .null
        nothing["auth_token"] = .null
        #expect(try read(nothing) == nil)
        #expect(try read(Self.trove(Self.notification))?.operation == "user_create")

        let ours = try #require(try read(Self.trove(Self.notification))?.json)
        #expect(try read(ours)?.operation == "user_create")
        var misspelt = ours
        misspelt["operatoin"] = misspelt["operation"]
        misspelt["operation"] = nil
        let error = #expect(throws: FieldError.self) { try read(misspelt) }
        #expect(error == FieldError(field: "operation", problem: "is missing"))
        // An incomplete oslo context does not count as one.
        var half = Self.plain
        half["user_identity"] = nil
        let missing = ["operation", "tenant_id", "client_ip"].map { FieldError(field: $0, problem: "is missing") }
        let halfError = #expect(throws: FieldError.self) { try read(half) }
        #expect(halfError?.all == missing)
        // The reader of the library and of the wire requires a notification in every case.
        let plainError = #expect(throws: FieldError.self) { try NotificationContext(Self.plain) }
        #expect(plainError?.all == missing)
    }

    @Test("A request context keeps known keys and no credentials")
    func requestContextKeys() throws {
        var context = NotificationContext(
            operation: "user_create", requestID: "r", tenantID: "t", clientIP: "c", requestContext: Self.plain)
        let kept: JSONObject = [
            "user": "user-1", "project_id": "tenant-1", "domain": nil, "user_domain": "default", "is_admin": true,
            "read_only": true, "auth_token": nil, "request_id": "req-1", "roles": ["member"],
            "user_identity": "forged", "limit": 5, "service_catalog": nil,
        ]
        #expect(context.requestContext == kept)
        #expect(try NotificationContext(context.json).requestContext == kept)
        context.requestContext = ["auth_token": "hunter2", "roles": [["x": "hunter2"]], "domain": ["x": "hunter2"]]
        #expect(context.requestContext == ["domain": nil, "auth_token": nil, "roles": nil])
        // As in oslo, no roles are an empty list.
        #expect(context.publishedContext["roles"] == [])
        #expect(throws: FieldError(field: "request_context", problem: "must be an object, not a string")) {
            try NotificationContext([
                "operation": "o", "request_id": "r", "tenant_id": "t", "client_ip": "c", "request_context": "x",
            ])
        }
    }

    private func published(_ context: NotificationContext) throws -> JSONObject {
        let operation = try #require(Catalogues.builtIn.operation(context.operation))
        return try operation.notification(
            of: .end(payload: [:]), context: context,
            origin: NotificationOrigin(publisherID: "conductor.c", serverType: "conductor", serverIP: "s"),
            messageID: MessageID(), timestamp: .now()
        ).message.context
    }

    @Test("The published identity comes from the context's own fields")
    func publishedIdentity() throws {
        let context = NotificationContext(
            operation: "user_create", requestID: "r", tenantID: "t", userID: "u", clientIP: "c",
            requestContext: Self.plain)
        #expect(
            try self.published(context) == [
                "user": "u", "project_id": "t", "system_scope": nil, "project": "t", "domain": nil,
                "user_domain": "default", "project_domain": nil, "is_admin": true, "read_only": false,
                "show_deleted": false, "auth_token": nil, "request_id": "r", "global_request_id": nil,
                "resource_uuid": nil, "roles": ["member"], "user_identity": "u t - default -",
                "is_admin_project": true, "limit": nil, "marker": nil, "service_catalog": nil,
            ])
    }

    @Test("A context without rights names the user and has nothing that grants rights")
    func contextWithoutRights() throws {
        let context = NotificationContext(
            operation: "user_create", requestID: "r", tenantID: "t", userID: "u", clientIP: "c", token: "x",
            requestContext: [
                "system_scope": "all", "domain": "d", "user_domain": "ud", "project_domain": "pd", "is_admin": true,
                "roles": ["admin"], "global_request_id": "g", "is_admin_project": true, "limit": 1,
            ])
        let stripped = context.withoutRights
        #expect(
            try self.published(stripped) == [
                "user": "u", "project_id": "t", "system_scope": nil, "project": "t", "domain": nil,
                "user_domain": "ud", "project_domain": "pd", "is_admin": false, "read_only": false,
                "show_deleted": false, "auth_token": nil, "request_id": "r", "global_request_id": "g",
                "resource_uuid": nil, "roles": [], "user_identity": "u t - ud pd", "is_admin_project": true,
                "limit": nil, "marker": nil, "service_catalog": nil,
            ])
        #expect(stripped.token == "x" && stripped.payload == context.payload)
        let plain = NotificationContext(operation: "o", requestID: "r", tenantID: "t", clientIP: "c")
        #expect(plain.withoutRights == plain)
    }

    @Test("A context without a request context still publishes the identity keys")
    func noRequestContext() throws {
        let context = NotificationContext(operation: "user_create", requestID: "r", tenantID: "t", clientIP: "c")
        #expect(
            try self.published(context) == [
                "user": nil, "project_id": "t", "system_scope": nil, "project": "t", "domain": nil,
                "user_domain": nil, "project_domain": nil, "is_admin": false, "read_only": false,
                "show_deleted": false, "auth_token": nil, "request_id": "r", "global_request_id": nil,
                "resource_uuid": nil, "roles": [], "user_identity": "- t - - -", "is_admin_project": true,
            ])
    }
}
