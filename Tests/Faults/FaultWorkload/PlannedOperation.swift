// SPDX-License-Identifier: Apache-2.0

package import Notifications

/// An operation of the fault bench: its guest, its outcome, and what the control plane must receive. All of it follows
/// from the guest's name and a number, so the oracle needs no report from a guest that was killed.
package struct PlannedOperation: Sendable, Hashable {
    /// The name of the guest that runs it, without hyphens.
    package let guest: String
    /// The number of the operation among those of the guest.
    package let number: Int

    /// Creates the operation of this number.
    package init(guest: String, number: Int) {
        self.guest = guest
        self.number = number
    }

    /// Creates the operation of a notification, or nil if it is none of the bench's.
    package init?(requestID: String) {
        let parts = requestID.split(separator: "-")
        guard parts.count == 3, parts[0] == "req", let number = Int(parts[2]) else { return nil }
        self.init(guest: String(parts[1]), number: number)
    }

    /// The request id, which connects its notifications to it.
    package var requestID: String { "req-\(self.guest)-\(self.number)" }

    /// Whether it fails, as a third of the operations do.
    package var fails: Bool { self.number % 3 == 0 }

    /// Its duration: most operations end at once, and some run long enough for a kill to find them running.
    package var milliseconds: Int { self.number % 5 == 4 ? self.number % 29 : 0 }

    /// The type of its error, if it fails.
    package var etype: String { "PlannedFailure\(self.number % 7)" }

    /// The text of its error, if it fails.
    package var value: String { "failure \(self.number) of \(self.guest), \"größer\" \u{1F4BE}" }

    /// Returns the tenant that a guest's certificate and contexts name.
    package static func tenant(of guest: String) -> String { "tenant-\(guest)" }

    private var database: String { "db-\(self.guest)-\(self.number)" }

    /// The context that the control plane attaches to the call.
    package var context: NotificationContext {
        NotificationContext(
            operation: "database_create", requestID: self.requestID, tenantID: Self.tenant(of: self.guest),
            userID: "user-\(self.number % 10)", clientIP: "10.0.0.1",
            payload: ["instance_id": .string(self.guest), "dbname": .string(self.database)])
    }

    /// The fields that the payload of its notification must have. `server_ip` is the conductor's own and not among
    /// them.
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

    /// Creates the error of this operation.
    package init(_ operation: PlannedOperation) {
        self.exceptionInfo = ExceptionInfo(etype: operation.etype, value: operation.value)
    }
}
