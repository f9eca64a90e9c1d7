// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import Notifications

/// One change of a spool. The caller prepares it completely, so that the writing thread only writes.
enum SpoolChange: Sendable {
    struct Begin: Sendable {
        let messageID: String
        let context: Data
        let begunAt: String

        init(_ operation: BegunOperation) {
            self.init(
                messageID: operation.messageID, context: operation.context,
                begunAt: NotificationTimestamp.now().description)
        }

        init(messageID: MessageID, context: NotificationContext, begunAt: String) {
            self.messageID = messageID.description
            self.context = Data(JSONWriter.encode(.object(context.json)))
            self.begunAt = begunAt
        }

        /// Returns the outcome of an operation that no agent runs any more: an error.
        ///
        /// - Throws: an error when the message id or the context cannot be read.
        func interrupted() throws -> Finish {
            guard let messageID = MessageID(self.messageID) else {
                throw SpoolRowError(description: "its message id is not a UUID")
            }
            let exception = ExceptionInfo(
                etype: Spool.interruptedType, value: "The guest agent ended while the operation ran.")
            return Finish(
                OutcomeReport(
                    context: try NotificationContext(json: Array(self.context)),
                    outcome: .error(exception, payload: JSONObject()), messageID: messageID))
        }
    }

    struct Finish: Sendable {
        let messageID: String
        let phase: String
        let report: Data
        /// The size of the operation's context in bytes, if it is known; it is looked up if nil.
        let contextSize: Int?

        init(_ report: OutcomeReport, contextSize: Int? = nil) {
            self.contextSize = contextSize
            self.messageID = report.messageID.description
            self.phase = report.outcome.phase.rawValue
            self.report = Data(JSONWriter.encode(.object(report.json)))
        }
    }

    case begin(Begin)
    case finish(Finish)
    /// The operation with this message id was begun, but did not run.
    case cancel(String)
    case remove([Int64])
    case setAside(Int64, reason: String, at: NotificationTimestamp)

    /// Whether the change must be on the disk before its caller is answered. The other changes need only be in the
    /// system's cache. An operation that begins is on the disk soon enough. A removal that a power cut undoes causes a
    /// repetition and no loss.
    var needsSync: Bool {
        switch self {
        case .begin, .cancel, .remove: false
        case .finish, .setAside: true
        }
    }

    /// Whether the change begins an operation.
    var isBegin: Bool {
        if case .begin = self { return true }
        return false
    }

    /// The size that the change adds to a transaction, in bytes.
    var byteCount: Int {
        switch self {
        case .begin(let begin): begin.context.count
        case .finish(let finish): finish.report.count
        case .cancel(let messageID): messageID.utf8.count
        case .remove(let sequences): sequences.count * 8
        case .setAside(_, let reason, _): reason.utf8.count
        }
    }

    /// Makes the change within a transaction.
    ///
    /// - Throws: ``OutboxError`` before anything was changed, so that the transaction can continue without this change.
    ///   Any other error ends the transaction.
    func apply(_ db: Database, _ tally: inout SpoolTally, _ configuration: Spool.Configuration) throws {
        switch self {
        case .begin(let begin): try begin.apply(db, &tally, configuration)
        case .finish(let finish): try finish.apply(db, &tally)
        case .cancel(let messageID): try Self.cancel(messageID, db, &tally)
        case .remove(let sequences): try Self.remove(sequences, db, &tally)
        case .setAside(let sequence, let reason, let timestamp):
            try Self.setAside(sequence, reason, timestamp.description, db, &tally)
        }
    }
}
