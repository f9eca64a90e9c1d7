// SPDX-License-Identifier: Apache-2.0

import Notifications

/// The report for which the token entry has tokens, and the claims that the documents require for it.
enum SignedReport {
    /// The conductor's time: 1 January 2026.
    static let now = NotificationTimestamp("2026-01-01 00:00:00") ?? .now()
    private static let seconds = 1_767_225_600.0

    /// Valid claims.
    static let claims = """
        {"jti":"4f1c2a5e","iat":1767225000,"exp":1767311400,"operation":"database_create","request_id":"req-1",\
        "tenant_id":"tenant-1","user_id":"user-1","client_ip":"198.51.100.7","instance_id":"inst-1",\
        "payload_sha256":"\(payloadDigest)"}
        """
    /// The digest of `{"dbname":"shop","instance_id":"inst-1"}`, computed by another program.
    static let payloadDigest = "db9748f350bc82ed5fe5f7218dab2c1305141c5e7464cf1884f71d50e15eaeb6"

    static func report(_ token: String) -> OutcomeReport {
        OutcomeReport(
            context: NotificationContext(
                operation: "database_create", requestID: "req-1", tenantID: "tenant-1", userID: "user-1",
                clientIP: "198.51.100.7", payload: ["instance_id": "inst-1", "dbname": "shop"], token: token),
            outcome: .end(payload: [:]))
    }

    /// Returns the problem with claims that were accepted: an independent implementation of the rules in
    /// Docs/protocol.md.
    static func problem(withAccepted claims: [UInt8]) -> String? {
        guard let object = (try? JSONValue(json: claims))?.object else {
            return "claims were accepted that are no object"
        }
        func text(_ name: String) -> String? { object[name]?.string }
        func isMissing(_ name: String) -> Bool { object[name]?.isNull ?? true }
        func time(_ name: String) -> Double? {
            guard case .number(let number)? = object[name] else { return nil }
            return Double(number.literal)
        }
        func isSame(_ name: String, _ expected: String) -> Bool { text(name)?.hasSameBytes(as: expected) ?? false }

        for (name, expected) in [
            ("request_id", "req-1"), ("tenant_id", "tenant-1"), ("user_id", "user-1"), ("client_ip", "198.51.100.7"),
            ("payload_sha256", self.payloadDigest),
        ] where !isSame(name, expected) { return "another \(name) was accepted" }
        guard isSame("operation", "database_create") || isSame("operation", "dbaas.database_create") else {
            return "another operation was accepted"
        }
        guard isMissing("instance_id") || isSame("instance_id", "inst-1") else {
            return "another instance was accepted"
        }
        guard isMissing("request_context_sha256") else { return "another request's context was accepted" }
        guard isMissing("jti") || text("jti")?.isEmpty == false else { return "an empty jti was accepted" }
        guard let issued = time("iat"), let expires = time("exp") else { return "claims without times were taken" }
        guard issued <= self.seconds + 60, isMissing("nbf") || (time("nbf") ?? .infinity) <= self.seconds + 60 else {
            return "a token of the future was accepted"
        }
        guard (0...604_800).contains(expires - issued), self.seconds < expires + 60 + 604_800 else {
            return "a token that expired, or lives too long, was accepted"
        }
        guard isMissing("aud") || isSame("aud", "conductor") || self.isAmong(object["aud"]) else {
            return "a token for another audience was accepted"
        }
        return nil
    }

    private static func isAmong(_ audiences: JSONValue?) -> Bool {
        audiences?.array?.contains { $0.string?.hasSameBytes(as: "conductor") == true } ?? false
    }
}
