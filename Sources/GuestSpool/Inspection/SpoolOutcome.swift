// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
package import Notifications

/// An outcome that a spool holds.
package struct SpoolOutcome: Sendable, Hashable {
    /// The state of a spooled outcome.
    package enum State: String, Sendable, Hashable, CaseIterable {
        /// The outcome waits for a conductor.
        case waiting
        /// The outcome is set aside: it is stored with a reason, and is not sent.
        case setAside = "set_aside"
    }

    /// The outcome's state.
    package let state: State
    /// The position of the outcome among the outcomes of this state.
    package let sequence: Int64
    /// The message id that the outcome's notification has, or would have.
    package let messageID: String
    /// How the operation ended: `end` or `error`.
    package let phase: String
    /// The outcome, without redacted values; nil when the stored report is damaged.
    package let report: OutcomeReport?
    /// Why the outcome was set aside: a conductor's text or the spool's own. Nil when it waits.
    package let reason: String?
    /// The time at which it was set aside, in UTC. Nil when it waits.
    package let setAsideAt: String?
    /// The report's JSON text.
    private let text: [UInt8]

    /// Returns the columns that ``init(_:_:)`` reads. The casts ensure that damage cannot change a value's type.
    static func columns(_ state: State) -> String {
        let columns = "sequence, CAST(message_id AS TEXT), CAST(phase AS TEXT), CAST(report AS BLOB)"
        switch state {
        case .waiting: return "\(columns), NULL, NULL FROM waiting"
        case .setAside: return "\(columns), CAST(reason AS TEXT), CAST(set_aside_at AS TEXT) FROM set_aside"
        }
    }

    init(_ state: State, _ row: Row) {
        self.state = state
        self.sequence = row[0]
        self.messageID = row[1] as String? ?? ""
        self.phase = row[2] as String? ?? ""
        self.text = Array(row[3] as Data? ?? Data())
        if case .object(let object)? = try? JSONValue(json: self.text) {
            self.report = try? OutcomeReport(object, path: "report")
        } else {
            self.report = nil
        }
        self.reason = row[4]
        self.setAsideAt = row[5]
    }

    /// The outcome as JSON for an operator: `method` and `params` are the request that a conductor would get. If the
    /// report is damaged, `damaged_params` contains what is left of it, in Base64.
    package var json: JSONObject {
        var object = self.summary
        if self.report != nil, let params = try? JSONValue(json: self.text) {
            object["method"] = self.phase.hasSameBytes(as: "end") ? "notify_end" : "notify_exc_info"
            object["params"] = params
        } else {
            object["damaged_params"] = .string(Data(self.text).base64EncodedString())
        }
        return object
    }

    /// The outcome as JSON without the report.
    package var summary: JSONObject {
        var object: JSONObject = ["message_id": .string(self.messageID), "state": .string(self.state.rawValue)]
        object["operation"] = self.report.map { .string($0.context.operation) } ?? .null
        object["phase"] = .string(self.phase)
        object["timestamp"] = self.report.map { .string($0.timestamp.description) } ?? .null
        if self.state == .setAside {
            object["reason"] = self.reason.map { .string($0) } ?? .null
            object["set_aside_at"] = self.setAsideAt.map { .string($0) } ?? .null
        }
        return object
    }
}
