import Logging
import NIOConcurrencyHelpers

/// Everything that is logged, as text, at every level.
final class RecordedLog: Sendable {
    private let lines = NIOLockedValueBox<[String]>([])

    /// What was logged so far.
    var text: String { self.lines.withLockedValue { $0.joined(separator: "\n") } }

    /// A logger that writes here.
    func logger(_ label: String) -> Logger {
        var logger = Logger(label: label) { Handler(label: $0, lines: self.lines) }
        logger.logLevel = .trace
        return logger
    }

    private struct Handler: LogHandler {
        let label: String
        let lines: NIOLockedValueBox<[String]>
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let line = "\(self.label) \(event.level) \(event.message) \(self.metadata) \(event.metadata ?? [:])"
            self.lines.withLockedValue { $0.append(line) }
        }
    }
}
