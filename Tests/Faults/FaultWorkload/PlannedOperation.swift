// SPDX-License-Identifier: Apache-2.0

package import Notifications

/// An operation of the fault bench: which guest runs it, how it ends, what the control plane must hear of it. All of it
/// follows from the guest's name and a number, so that the oracle needs no word from a guest that was killed.
package struct PlannedOperation: Sendable, Hashable {
    /// The name of the guest that runs it, without hyphens.
    package let guest: String
    /// Which of the guest's operations it is.
    package let number: Int

    /// The operation of this number.
    package init(guest: String, number: Int) {
        self.guest = guest
        self.number = number
    }

    /// The operation that a notification is about, or nil if it is none of the bench's.
    package init?(requestID: String) {
        let parts = requestID.split(separator: "-")
        guard parts.count == 3, parts[0] == "req", let number = Int(parts[2]) else { return nil }
        self.init(guest: String(parts[1]), number: number)
    }

    /// What ties its notifications to it.
    package var requestID: String { "req-\(self.guest)-\(self.number)" }

    /// A third of the operations fail.
    package var fails: Bool { self.number % 3 == 0 }

    /// How long it runs: most end at once, some long enough for a kill to find them running.
    package var milliseconds: Int { self.number % 5 == 4 ? self.number % 29 : 0 }

    /// The type of its error, if it fails.
    package var etype: String { "PlannedFailure\(self.number % 7)" }

    /// The text of its error, if it fails.
    package var value: String { "failure \(self.number) of \(self.guest), \"größer\" \u{1F4BE}" }

    /// The tenant that a guest's certificate and contexts name.
    package static func tenant(of guest: String) -> String { "tenant-\(guest)" }

    private var database: String { "db-\(self.guest)-\(self.number)" }

    /// What the control plane attaches to the call.
    package var context: NotificationContext {
        NotificationContext(
            operation: "database_create", requestID: self.requestID, tenantID: Self.tenant(of: self.guest),
            userID: "user-\(self.number % 10)", clientIP: "10.0.0.1",
            payload: ["instance_id": .string(self.guest), "dbname": .string(self.database)])
    }

    /// What the payload of its notification must hold, by name. `server_ip` is the conductor's own and not in it.
    package var expectedPayload: [String: JSONValue] {
        [
            "tenant_id": .string(Self.tenant(of: self.guest)), "client_ip": "10.0.0.1", "server_type": "conductor",
            "request_id": .string(self.requestID), "user_id": .string("user-\(self.number % 10)"),
            "instance_id": .string(self.guest), "dbname": .string(self.database),
        ]
    }
}

/// The error of an operation that is planned to fail.
package struct PlannedFailure: Error, ExceptionInfoProviding {
    package let exceptionInfo: ExceptionInfo

    /// The error of this operation.
    package init(_ operation: PlannedOperation) {
        self.exceptionInfo = ExceptionInfo(etype: operation.etype, value: operation.value)
    }
}
