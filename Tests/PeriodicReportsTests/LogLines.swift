import Logging
import NIOConcurrencyHelpers

/// Keeps what is logged: each line's message, then its metadata's values.
final class LogLines: Sendable {
    private struct Handler: LogHandler {
        let lines: LogLines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let values = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.value)" }
            self.lines.lines.withLockedValue { $0.append("\(event.message): \(values.joined(separator: ", "))") }
        }
    }

    private let lines = NIOLockedValueBox<[String]>([])

    var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

    var all: [String] { self.lines.withLockedValue { $0 } }
}
