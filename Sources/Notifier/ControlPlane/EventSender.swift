import Logging
import Notifications

/// How a control plane's events are sent: through which notifier, as whom, with how much patience.
struct EventSender: Sendable {
    let notifier: Notifier
    let origin: NotificationOrigin
    let patience: Duration
    let logger: Logger

    /// Returns when every driver vouches for it.
    func send(_ message: NotificationMessage) async throws(DriverError) {
        try await self.notifier.emit(message, patience: self.patience)
    }

    /// Says at level debug what was left out. The names may be strangers' text, and a long list.
    func logUndeclared(_ names: [String], of event: String) {
        guard !names.isEmpty else { return }
        self.logger.debug(
            "Fields that the event does not declare were left out",
            metadata: [
                "event": "\(event)",
                "fields": "\(names.prefix(8).map(\.excerpt).joined(separator: ", "))",
            ])
    }
}
