import Foundation
import GRDB
public import Notifications

/// An outcome that a spool holds.
public struct SpoolOutcome: Sendable, Hashable {
    /// What became of it so far.
    public enum State: String, Sendable, Hashable, CaseIterable {
        /// It waits for a conductor.
        case waiting
        /// No conductor takes it.
        case setAside = "set_aside"
    }

    /// What became of it so far.
    public let state: State
    /// Its place among the others of this state.
    public let sequence: Int64
    /// The identifier that its notification has, or would have.
    public let messageID: String
    /// How the operation ended: `end` or `error`.
    public let phase: String
    /// The outcome, without what was redacted; nil when what the file holds is damaged.
    public let report: OutcomeReport?
    /// Why it was set aside: a conductor's words.
    public let reason: String?
    /// When it was set aside, in UTC.
    public let setAsideAt: String?
    /// The report's JSON text.
    private let text: [UInt8]

    /// The columns that ``init(_:_:)`` reads. The casts see to it that no damage makes a value of another type.
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

    /// What an operator is given of it: `method` and `params` are the request that a conductor would get. Of a report
    /// that is damaged, `damaged_params` is what is left of it, in Base64.
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

    /// The same without the report.
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
