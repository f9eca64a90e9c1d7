// SPDX-License-Identifier: Apache-2.0

import DriverErrors
import Logging
import Notifications

/// Sends a control plane's events through a notifier, with the service's identity and a time limit for retries.
struct EventSender: Sendable {
    let notifier: Notifier
    let origin: NotificationOrigin
    let retryTimeout: Duration
    let logger: Logger

    /// Sends the message, and returns once every driver has confirmed it.
    func send(_ message: NotificationMessage) async throws(DriverError) {
        try await self.notifier.emit(message, retryTimeout: self.retryTimeout)
    }

    /// Logs the fields that were left out, at level debug. The names may be untrusted text and a long list, so they are
    /// shortened.
    func logUndeclared(_ names: [String], of event: String) {
        guard !names.isEmpty else { return }
        self.logger.debug(
            "Left out fields that the event does not declare",
            metadata: [
                "event": "\(event)",
                "fields": "\(names.prefix(8).map(\.excerpt).joined(separator: ", "))",
            ])
    }
}
