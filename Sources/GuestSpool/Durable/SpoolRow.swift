// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import Notifications

/// Functions that read rows without trusting them: a value of an unexpected type must not end the process.
enum SpoolRow {
    static func integer(_ value: DatabaseValue) -> Int64? {
        guard case .int64(let number) = value.storage else { return nil }
        return number
    }

    static func text(_ value: DatabaseValue) -> String? {
        guard case .string(let text) = value.storage else { return nil }
        return text
    }

    static func bytes(_ value: DatabaseValue) -> Data? {
        guard case .blob(let data) = value.storage else { return nil }
        return data
    }

    /// Returns the outcome that a row contains.
    ///
    /// - Parameter messageID: the message id in the row, which must be the outcome's.
    /// - Throws: the reason, as text for people.
    static func report(_ value: DatabaseValue, messageID: DatabaseValue) throws(SpoolRowError) -> OutcomeReport {
        guard let data = Self.bytes(value) else { throw SpoolRowError(description: "the report is not a blob") }
        let report: OutcomeReport
        do {
            guard case .object(let object) = try JSONValue(json: Array(data)) else {
                throw SpoolRowError(description: "it is not a JSON object")
            }
            report = try OutcomeReport(object, path: "report")
        } catch {
            throw SpoolRowError(description: "\(error)")
        }
        guard let text = Self.text(messageID), text.hasSameBytes(as: report.messageID.description) else {
            throw SpoolRowError(description: "its message id differs from the row's")
        }
        return report
    }

    /// Returns the operation that a row of `running` contains.
    static func begun(_ row: Row) throws(SpoolRowError) -> SpoolChange.Begin {
        guard let text = Self.text(row[0]), let messageID = MessageID(text), let context = Self.bytes(row[1]) else {
            throw SpoolRowError(description: "its message id or context is missing")
        }
        do {
            return SpoolChange.Begin(
                messageID: messageID, context: try NotificationContext(json: Array(context)),
                begunAt: Self.text(row[2]) ?? "")
        } catch {
            throw SpoolRowError(description: "\(error)")
        }
    }
}

/// Why a row cannot be read.
struct SpoolRowError: Error, CustomStringConvertible {
    /// The reason as text for people. It is limited to 500 characters, because it may contain untrusted text.
    let description: String

    init(description: String) { self.description = String(description.prefix(500)) }
}
