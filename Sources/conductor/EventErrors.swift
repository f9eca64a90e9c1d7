import ArgumentParser
import Notifications
import Notifier
import Settings

/// What a script gave cannot become an event.
struct EventDataError: Error, CustomStringConvertible {
    /// Sentences that name the file, the event or the fields, one a line.
    let description: String

    init(_ description: String) { self.description = description }

    init(_ error: FieldError) { self.description = error.sentences.map { "\($0)." }.joined(separator: "\n") }

    /// Runs the body, and puts what is wrong with a script's data into a sentence.
    ///
    /// - Parameter catalogues: where a mistyped name's neighbours are looked for.
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

/// An event that not every driver vouches for.
struct EventDeliveryError: Error, CustomStringConvertible {
    /// One sentence; for an event that can be sent again with the options that keep its identifier.
    let description: String
    /// 69 when it can be sent again, 65 when it is too large, 78 when it can never be.
    let exitCode: ExitCode

    /// - Parameters:
    ///   - error: why.
    ///   - events: all that were to be sent, in order.
    ///   - sent: how many of them were before it.
    init(_ error: DriverError, events: [EventRequest.Checked], sent: Int) {
        let what = "\(events[sent].message.eventType) was not confirmed"
        let count = events.count > 1 ? " (\(sent) of \(events.count) were)" : ""
        switch error.code {
        case .unavailable:
            let options = events.map { "--message-id \($0.message.messageID)" }.joined(separator: " ")
            self.description = "\(what)\(count): \(error). To send it again without a second one, add \(options)"
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
