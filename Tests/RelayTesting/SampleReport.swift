// SPDX-License-Identifier: Apache-2.0

package import Notifications

/// Outcomes for tests.
package enum SampleReport {
    /// Returns a context of `database_create` on the instance `inst-1`.
    package static func context(dbname: String = "shop") -> NotificationContext {
        NotificationContext(
            operation: "database_create", requestID: "req-1", tenantID: "tenant-1", userID: "user-1",
            clientIP: "198.51.100.7", payload: ["instance_id": "inst-1", "dbname": .string(dbname)])
    }

    /// Returns the report of a successful end.
    package static func end(dbname: String = "shop") -> OutcomeReport {
        OutcomeReport(context: self.context(dbname: dbname), outcome: .end(payload: [:]))
    }

    /// Returns a request line of `notify_end`, without its line end.
    package static func line(id: Int, messageID: MessageID = MessageID(), instance: String = "inst-1") -> String {
        let context = self.contextText.replacing("inst-1", with: instance)
        return """
            {"jsonrpc":"2.0","id":\(id),"method":"notify_end","params":{"context":\(context),\
            "message_id":"\(messageID)"}}
            """
    }

    /// The context as JSON text.
    package static let contextText = #"""
        {"operation":"database_create","request_id":"req-1","tenant_id":"tenant-1","client_ip":"198.51.100.7",\#
        "payload":{"instance_id":"inst-1","dbname":"shop"}}
        """#
}
