// SPDX-License-Identifier: Apache-2.0

import ContextSigning
import Logging
import Notifications
import Notifier
import Testing

/// The signatures of the contexts that a control plane hands off.
@Suite struct SignedContextTests {
    private let driver = TestDriver()
    private let request = APIRequest(tenantID: "tenant-1", userID: "user-1", clientIP: "198.51.100.7")

    private static func key() throws -> SigningKey {
        try SigningKey(kid: "k", secret: Array("0123456789abcdef0123456789abcdef".utf8))
    }

    private func api(isSigning: Bool = true) throws -> ControlPlaneNotifier {
        ControlPlaneNotifier(
            Notifier(drivers: [self.driver]),
            origin: NotificationOrigin(publisherID: "api.c", serverType: "api", serverIP: "192.0.2.1:8779"),
            signer: isSigning ? try ContextSigner(key: Self.key()) : nil, logger: Logger(label: "test"))
    }

    private func claims(of context: NotificationContext) throws -> ContextClaims {
        let token = try #require(context.token)
        return try ContextClaims(SigningKeySet([Self.key()]).payload(of: token))
    }

    /// Identifiers are bounded where contexts are created, and not only where they would reject a guest's outcome.
    @Test("An identifier that is too long is rejected where the context is created", arguments: [true, false])
    func longIdentifiers(isSigning: Bool) throws {
        let payload: JSONObject = ["instance_id": "i-1", "dbname": "shop"]
        let api = try self.api(isSigning: isSigning)
        let longest = String(repeating: "é", count: 127) + "x"
        var request = self.request
        (request.tenantID, request.userID, request.requestID) = (longest, longest, longest)
        #expect(throws: Never.self) { try api.notifications("database_create", request: request, payload: payload) }
        let changes: [(String, (inout APIRequest) -> Void)] = [
            ("tenant_id", { $0.tenantID += "x" }), ("user_id", { $0.userID? += "x" }),
            ("request_id", { $0.requestID += "x" }), ("client_ip", { $0.clientIP = longest + "x" }),
        ]
        for (name, change) in changes {
            var wrong = request
            change(&wrong)
            let error = #expect(throws: FieldError.self) {
                try api.notifications("database_create", request: wrong, payload: payload)
            }
            #expect(error?.field == "context.\(name)")
        }
        let context = NotificationContext(
            operation: "database_create", requestID: "r", tenantID: longest + "x", clientIP: "")
        #expect(throws: SigningKeyError.self) { try ContextSigner(key: Self.key()).sign(context) }
        // An event that is published from its fields alone, as `conductor notify` does.
        let error = #expect(throws: FieldError.self) {
            try EventRequest(
                eventType: "dbaas.database_create.end",
                payload: [
                    "tenant_id": .string(longest + "x"), "user_id": "u", "client_ip": "192.0.2.7", "server_ip": "s",
                    "server_type": "api", "request_id": "r", "instance_id": "i", "dbname": "d",
                ], host: "h"
            ).events(in: .builtIn)
        }
        #expect(error?.field == "payload.tenant_id")
    }

    @Test("Each operation of a request has a token of its own")
    func tokenPerOperation() async throws {
        let notifications = try await self.api().startEach(
            "database_create", request: self.request,
            payload: ["instance_id": "i-1", "dbname": ["shop", "stock"], "password": "pl4nted"])
        var identifiers: Set<String?> = []
        for notification in notifications {
            let context = try notification.handOff()
            let claims = try self.claims(of: context)
            #expect(claims.payloadDigest == CanonicalJSON.digest(context.payload))
            #expect(claims.instanceID == "i-1" && claims.tenantID == "tenant-1")
            #expect(context.payload["password"] == nil)
            identifiers.insert(claims.identifier)
        }
        #expect(identifiers.count == 2)
        #expect(self.driver.notifications.count == 2)
        #expect(!"\(self.driver.notifications)".contains(try #require(notifications.first?.context.token)))
    }

    @Test("The token has the request's instance when the payload has none")
    func instanceOfRequest() throws {
        var request = self.request
        let payload: JSONObject = ["name": "n", "flavor": "1", "datastore": "mysql", "datastore_version": "8"]
        for instance in [nil, "i-7"] {
            request.instanceID = instance
            let context = try self.api().notification("instance_create", request: request, payload: payload).context
            #expect(try self.claims(of: context).instanceID == instance)
        }
    }

    @Test("A signed context stays unchanged, and an unsigned one is signed")
    func signedContext() throws {
        var context = try self.api().notification(
            "instance_restart", request: self.request, payload: ["instance_id": "i-1"]
        ).context
        let resumed = try self.api().notification(resuming: context)
        #expect(resumed.context == context)
        // A Python control plane may have signed more than the catalogue declares.
        context.payload["note"] = "n"
        #expect(try self.api().notification(resuming: context).context == context)
        // A context that is not signed yet is signed here.
        context.token = nil
        let signed = try self.api().notification(resuming: context).context
        #expect(signed.payload["note"] == nil && signed.token != nil)
        #expect(try self.api(isSigning: false).notification(resuming: context).context.token == nil)
    }
}
