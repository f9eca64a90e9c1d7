// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOConcurrencyHelpers
import Notifications
import Notifier

/// A driver that gives the answers of a test's list, then confirms everything.
final class ScriptedDriver: NotificationDriver {
    private struct State {
        var errors: [DriverError?]
        var attempts: [NotificationMessage] = []
    }

    let name = "scripted"
    private let state: NIOLockedValueBox<State>

    /// - Parameter errors: the answers to the first attempts; nil is success.
    init(_ errors: [DriverError?] = []) { self.state = NIOLockedValueBox(State(errors: errors)) }

    /// The notifications that it was asked to send, successfully or not.
    var attempts: [NotificationMessage] { self.state.withLockedValue { $0.attempts } }

    func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        let error = self.state.withLockedValue { state -> DriverError? in
            state.attempts.append(notification)
            return state.errors.isEmpty ? nil : state.errors.removeFirst()
        }
        completion(error.map { .failure($0) } ?? .success(()))
    }
}

extension DriverError {
    /// A retryable error: the notification cannot be accepted now.
    static let busy = DriverError(.unavailable, driver: "scripted", reason: "later")
    /// A permanent error: the notification can never be accepted unchanged.
    static let tooLarge = DriverError(.tooLarge, driver: "scripted", reason: "large", limitBytes: 1)
}

extension ControlPlaneNotifier {
    /// Returns the notifier of an API, which tries only once unless a test sets a retry timeout.
    static func api(
        _ drivers: any NotificationDriver..., catalogues: Catalogues = .builtIn, retryTimeout: Duration = .zero,
        logger: Logger = Logger(label: "test")
    ) -> ControlPlaneNotifier {
        ControlPlaneNotifier(
            Notifier(drivers: drivers),
            origin: NotificationOrigin(publisherID: "api.control-1", serverType: "api", serverIP: "192.0.2.1:8779"),
            catalogues: catalogues, retryTimeout: retryTimeout, logger: logger)
    }
}

extension APIRequest {
    /// A request of a tenant's user.
    static let sample = APIRequest(
        requestID: "req-1", tenantID: "tenant-1", userID: "user-1", clientIP: "198.51.100.7")
}
