// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import ContextSigning
import GuestAgent
import LogTesting
import Notifications
import Notifier
import RelayTesting
import Testing

/// Reports with a token that a conductor accepts, and those that it rejects.
@Suite(.timeLimit(.minutes(1))) struct SignedContextTests {
    private let driver = TestDriver()
    private static let requestContext: JSONObject = ["roles": ["member"], "is_admin": false, "domain": "d-1"]

    private var context: NotificationContext {
        var context = SampleReport.context()
        context.requestContext = Self.requestContext
        return context
    }

    private func expectRefusal(
        _ answer: RPCResult, _ words: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = answer.failure
        #expect(error?.code == .notPermitted, "\(answer)", sourceLocation: sourceLocation)
        #expect(error?.field == "params.context.token", sourceLocation: sourceLocation)
        #expect(error?.message.contains("params.context.token") == true, sourceLocation: sourceLocation)
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")", sourceLocation: sourceLocation)
        #expect(self.driver.notifications.isEmpty, sourceLocation: sourceLocation)
    }

    @Test("A signed report is published without its token", arguments: [nil, "inst-1"])
    func signedReport(instance: String?) async throws {
        let guest = try SignedGuest(self.driver)
        let report = OutcomeReport(
            context: try guest.signer.sign(self.context, instanceID: instance), outcome: .end(payload: [:]))
        #expect(await guest.answer(report) == .success(.accepted(report.messageID, .published)))
        let notification = try #require(self.driver.notifications.first)
        #expect(notification.payload["tenant_id"] == "tenant-1" && notification.payload["instance_id"] == "inst-1")
        #expect(notification.context["roles"] == ["member"])
        let token = try #require(report.context.token)
        #expect(!"\(self.driver.notifications)".contains(token))
    }

    @Test(
        "The policy decides whether a missing or a wrong token is rejected",
        arguments: ContextVerifier.Policy.allCases, [true, false])
    func signaturePolicy(policy: ContextVerifier.Policy, isWrong: Bool) async throws {
        let guest = try SignedGuest(self.driver, policy: policy)
        var report = SampleReport.end()
        if isWrong { report.context.token = "e30.e30.e30" }
        let answer = await guest.answer(report)
        switch (policy, isWrong) {
        case (.off, _), (.accept, false): #expect(answer == .success(.accepted(report.messageID, .published)))
        case (.accept, true): self.expectRefusal(answer, "kid")
        case (.require, true): self.expectRefusal(answer, "kid")
        case (.require, false): self.expectRefusal(answer, "is missing")
        }
    }

    /// With a verified signature rights are published as signed; without one none are, whatever the mode.
    @Test("Rights are published as signed, or not at all", arguments: ContextVerifier.Policy.allCases, [true, false])
    func signedRights(policy: ContextVerifier.Policy, isSigned: Bool) async throws {
        let guest = try SignedGuest(self.driver, policy: policy)
        var context = self.context
        context.requestContext = ["roles": ["admin"], "is_admin": true, "system_scope": "all", "domain": "d-1"]
        if isSigned { context = try guest.signer.sign(context, instanceID: "inst-1") }
        let answer = await guest.answer(OutcomeReport(context: context, outcome: .end(payload: [:])))
        guard policy != .require || isSigned else {
            self.expectRefusal(answer, "is missing")
            return
        }
        let published = try #require(self.driver.notifications.first).context
        let isVerified = isSigned && policy != .off
        #expect(published["roles"] == (isVerified ? ["admin"] : []))
        #expect(published["is_admin"] == .bool(isVerified))
        #expect(published["system_scope"] == (isVerified ? "all" : .null))
        #expect(published["domain"] == (isVerified ? "d-1" : .null))
    }

    /// Every field of the context that is published.
    @Test(
        "A report with a change of a signed field is rejected",
        arguments: [
            "operation", "request_id", "tenant_id", "user_id", "no user_id", "client_ip", "no client_ip", "payload",
            "more payload", "no payload", "roles", "is_admin", "more request_context", "no request_context",
        ])
    func changedSignedField(what: String) async throws {
        let guest = try SignedGuest(self.driver)
        var report = OutcomeReport(context: try guest.signer.sign(self.context), outcome: .end(payload: [:]))
        switch what {
        case "operation": report.context.operation = "database_delete"
        case "request_id": report.context.requestID = "req-2"
        case "tenant_id": report.context.tenantID = "tenant-2"
        case "user_id": report.context.userID = "user-2"
        case "no user_id": report.context.userID = nil
        case "client_ip": report.context.clientIP = "192.0.2.66"
        case "no client_ip": report.context.clientIP = ""
        case "payload": report.context.payload["dbname"] = "vault"
        case "more payload": report.context.payload["cluster_id"] = "c-2"
        case "no payload": report.context.payload["dbname"] = nil
        case "roles": report.context.requestContext = ["roles": ["admin"], "is_admin": false, "domain": "d-1"]
        case "is_admin": report.context.requestContext = ["roles": ["member"], "is_admin": true, "domain": "d-1"]
        case "more request_context": report.context.requestContext?["system_scope"] = "all"
        default: report.context.requestContext = nil
        }
        let name = what.split(separator: " ").last.map(String.init) ?? ""
        let field = ["roles", "is_admin"].contains(name) ? "request_context" : name
        self.expectRefusal(await guest.answer(report), "was signed for another params.context.\(field)")
    }

    /// A field that is not published may have the guest's own value, and another spelling of an operation is the same
    /// operation.
    @Test("Fields that are not published may differ from the signed ones")
    func unpublishedFields() async throws {
        let guest = try SignedGuest(self.driver)
        var report = OutcomeReport(context: try guest.signer.sign(self.context), outcome: .end(payload: [:]))
        report.context.serverIP = "192.0.2.66"
        report.context.serverType = "guest"
        report.context.operation = "dbaas.database_create"
        report.context.requestContext?["auth_token"] = "x"
        #expect(await guest.answer(report) == .success(.accepted(report.messageID, .published)))
        #expect(self.driver.notifications.first?.payload["server_type"] == "conductor")
    }

    @Test("A token of another instance is rejected")
    func tokenOfAnotherInstance() async throws {
        let guest = try SignedGuest(self.driver)
        let operation = try #require(Catalogues.builtIn.operation("database_create"))
        let configuration = ContextVerifier.Configuration(policy: .require)
        let verifier = ContextVerifier(keys: try SigningKeySet([SignedGuest.key("now")]), configuration: configuration)
        let report = OutcomeReport(
            context: try guest.signer.sign(self.context, instanceID: "inst-1"), outcome: .end(payload: [:]))
        for (instance, isTaken) in [("inst-1", true), (nil, true), ("inst-2", false), ("inst-1\u{301}", false)] {
            let result = Result { () throws(RPCError) in
                try verifier.verify(report, operation: operation, instance: instance)
            }
            #expect(((try? result.get()) != nil) == isTaken)
            guard !isTaken, case .failure(let error) = result else { continue }
            #expect(error.code == .notPermitted && error.message.contains("instance"))
        }
    }

    @Test("A token is accepted only within its lifetime")
    func tokenLifetime() throws {
        let key = try SignedGuest.key("now")
        let operation = try #require(Catalogues.builtIn.operation("database_create"))
        var configuration = ContextVerifier.Configuration(policy: .require)
        configuration.clockSkew = 60
        configuration.grace = 1000
        configuration.maximumLifetime = 500
        let verifier = ContextVerifier(keys: try SigningKeySet([key]), configuration: configuration)
        let now = 1_800_000_000
        func isTaken(issued: Int, expires: Int, notBefore: Double? = nil) throws -> String? {
            var claims = ContextClaims(self.context, instanceID: nil, issuedAt: issued, lifetime: expires - issued)
            claims.notBefore = notBefore
            var object = claims.json
            if let notBefore { object["nbf"] = .number(JSONNumber(Int(notBefore))) }
            var report = OutcomeReport(context: self.context, outcome: .end(payload: [:]))
            report.context.token = CompactJWS.sign(JSONWriter.encode(.object(object)), with: key)
            do throws(RPCError) {
                let moment = NotificationTimestamp(microsecondsSinceEpoch: Int64(now) * 1_000_000)
                guard let verified = try verifier.verify(report, operation: operation, now: moment) else {
                    return "unsigned"
                }
                return verified.expiryError?.message
            } catch {
                return error.message
            }
        }
        #expect(try isTaken(issued: now - 10, expires: now + 10) == nil)
        // Expired, but the outcome may have waited in its guest.
        #expect(try isTaken(issued: now - 1459, expires: now - 1059) == nil)
        #expect(try isTaken(issued: now - 1460, expires: now - 1060)?.contains("expired") == true)
        // A signer's clock that is a little ahead.
        #expect(try isTaken(issued: now + 60, expires: now + 70) == nil)
        #expect(try isTaken(issued: now + 61, expires: now + 70)?.contains("not valid yet") == true)
        #expect(try isTaken(issued: now, expires: now + 70, notBefore: Double(now + 60)) == nil)
        #expect(try isTaken(issued: now, expires: now + 70, notBefore: Double(now + 61))?.contains("nbf") == true)
        // A token with a lifetime beyond the maximum, or a negative one.
        #expect(try isTaken(issued: now, expires: now + 500) == nil)
        #expect(try isTaken(issued: now, expires: now + 501)?.contains("lifetime") == true)
        #expect(try isTaken(issued: now, expires: now - 1)?.contains("lifetime") == true)
    }

    /// With the system's clock: of two operations that were signed at the same time, one was reported in time.
    @Test("A token can expire while the conductor runs")
    func expiryDuringRun() async throws {
        let guest = try SignedGuest(self.driver) {
            $0.clockSkew = 0
            $0.grace = 0
        }
        let signer = try ContextSigner(key: try SignedGuest.key("now"), lifetime: .seconds(4))
        let reports = try (0..<2).map { _ in
            OutcomeReport(context: try signer.sign(self.context), outcome: .end(payload: [:]))
        }
        let end = ContinuousClock.now + .seconds(4)
        #expect(await guest.answer(reports[0]) == .success(.accepted(reports[0].messageID, .published)))
        #expect(await guest.answer(reports[0]) == .success(.accepted(reports[0].messageID, .duplicate)))
        try await Task.sleep(until: end)
        let late = await guest.answer(reports[1])
        #expect(late.failure?.code == .notPermitted && late.failure?.message.contains("expired") == true)
        // A guest that missed the first answer is informed that the outcome was in time.
        #expect(await guest.answer(reports[0]) == .success(.accepted(reports[0].messageID, .duplicate)))
        #expect(self.driver.notifications.count == 1)
    }

    @Test("A token is accepted while its key is in the key set")
    func keyRotation() async throws {
        let (old, new) = (try SignedGuest.key("old"), try SignedGuest.key("new"))
        func verifier(_ keys: [SigningKey]) throws -> ContextVerifier {
            ContextVerifier(keys: try SigningKeySet(keys), configuration: .init(policy: .require))
        }
        let operation = try #require(Catalogues.builtIn.operation("database_create"))
        for (keys, taken) in [([old], [true, false]), ([old, new], [true, true]), ([new], [false, true])] {
            for (key, isTaken) in zip([old, new], taken) {
                let report = OutcomeReport(
                    context: try ContextSigner(key: key).sign(self.context), outcome: .end(payload: [:]))
                let verified = try? verifier(keys).verify(report, operation: operation)
                #expect((verified != nil) == isTaken, "\(key) among \(keys)")
            }
        }
    }

    /// The token is next to the notification, and its `to_dict()` has members that are not signed.
    @Test("A signed context in Trove's form is accepted")
    func signedTroveContext() async throws {
        let guest = try SignedGuest(self.driver)
        var json = try #require(
            try JSONValue(
                json: Array(
                    #"""
                    {"user":"user-1","project_id":"tenant-1","request_id":"req-1","roles":["member"],"auth_token":"x",
                     "is_admin":false,"trove_notification":{
                      "notification_classname":"trove.common.notification.DBaaSUserCreate","request_id":"req-1",
                      "tenant_id":"tenant-1","client_ip":"192.0.2.7","server_ip":"api:8779","server_type":"api",
                      "instance_id":"inst-1","username":{"_name":"anna","_password":"pl4nted"}}}
                    """#.utf8)
            ).object)
        let signed = try guest.signer.sign(try NotificationContext(json), instanceID: "inst-1")
        json["token"] = .string(try #require(signed.token))
        // Read by a guest, and forwarded in the other form.
        let read = try NotificationContext(NotificationContext(json).json)
        #expect(read.token == signed.token)
        let report = OutcomeReport(context: read, outcome: .end(payload: [:]))
        #expect(await guest.answer(report) == .success(.accepted(report.messageID, .published)))
        #expect(self.driver.notifications.first?.payload["username"] == "anna")
        #expect(!"\(self.driver.notifications)".contains("pl4nted"))
    }

    /// Text that looks like a secret stays in a signed payload until the conductor publishes it: the digest covers the
    /// whole payload.
    @Test("A signed payload passes the guest's redaction, and the conductor redacts it")
    func signedPayloadRedaction() async throws {
        let key = try SignedGuest.key("now")
        let verifier = ContextVerifier(
            keys: try SigningKeySet([key]), configuration: .init(policy: .require))
        try await withConductor(Notifier(drivers: [self.driver]), verifier: verifier) { conductor in
            let log = LogRecorder()
            let run = try await GuestAgentRun.start(conductor, logger: log.logger("guest"), redaction: .standard)
            var context = self.context
            context.payload["dbname"] = "password=pl4nted"
            context = try ContextSigner(key: key).sign(context, instanceID: "inst-1")
            try await run.agent.withNotification(context) {}
            try await run.drained()
            let token = try #require(context.token)
            #expect(!log.text.contains("pl4nted") && !log.text.contains(token))
        }
        #expect(self.driver.notifications.count == 1)
        #expect(self.driver.notifications.first?.payload["dbname"] == "password=***")
    }
}
