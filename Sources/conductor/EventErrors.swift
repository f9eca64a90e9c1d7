// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Notifications
import Notifier
import Settings

/// An error for data from a script that cannot become an event.
struct EventDataError: Error, CustomStringConvertible {
    /// Sentences that name the file, the event or the fields, one a line.
    let description: String

    init(_ description: String) { self.description = description }

    init(_ error: FieldError) { self.description = error.sentences.map { "\($0)." }.joined(separator: "\n") }

    /// Runs the body, and turns an error in a script's data into sentences.
    ///
    /// - Parameter catalogues: the catalogues that are searched for names similar to a mistyped one.
    static func describing<Result>(_ catalogues: Catalogues, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as FieldError {
            throw EventDataError(error)
        } catch let error as UnknownEventError {
            let suggestion = NameSuggestion(for: error.name, isOperation: error.isOperation, in: catalogues)
            throw EventDataError("\(error)\(suggestion.hint).")
        }
    }
}

/// An error for an event that not every driver has confirmed.
struct EventDeliveryError: Error, CustomStringConvertible {
    /// One sentence. For an event that can be sent again, it contains the options that keep its identifier.
    let description: String
    /// The exit code: 69 when the event can be sent again, 65 when it is too large, 78 when it can never be sent.
    let exitCode: ExitCode

    /// - Parameters:
    ///   - error: the driver's error.
    ///   - events: all events to send, in order.
    ///   - sent: how many events were sent before the one that failed.
    init(_ error: DriverError, events: [EventRequest.Checked], sent: Int) {
        let what = "\(events[sent].message.eventType) was not confirmed"
        let count = events.count > 1 ? " (\(sent) of \(events.count) were)" : ""
        switch error.code {
        case .unavailable:
            let options = events.map { "--message-id \($0.message.messageID)" }.joined(separator: " ")
            self.description = "\(what)\(count): \(error). To send it again without a duplicate, add \(options)"
            self.exitCode = ConductorExit.unavailable
        case .tooLarge:
            self.description = "\(what)\(count): \(error)."
            self.exitCode = ConductorExit.data
        default:
            self.description = "\(what)\(count): \(error)."
            self.exitCode = ConductorExit.configuration
        }
    }
}
