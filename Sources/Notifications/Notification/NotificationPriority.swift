// SPDX-License-Identifier: Apache-2.0

/// The priority of a notification. It selects the queue and, in its upper-case form, the endpoint of an oslo.messaging
/// consumer.
public enum NotificationPriority: String, Sendable, Hashable, CaseIterable {
    /// A record for an audit.
    case audit
    /// Information for developers.
    case debug
    /// A normal event: a start or an end.
    case info
    /// An unexpected event that did no harm.
    case warn
    /// A failed operation.
    case error
    /// A danger to the service.
    case critical
    /// A measurement.
    case sample

    /// The form of the priority in a message's body, such as `INFO`.
    package var wireName: String { self.rawValue.uppercased() }

    /// Returns the name of the queue of this priority's notifications, as oslo.messaging forms it: `<topic>.<priority>`.
    package func queue(topic: String) -> String { "\(topic).\(self.rawValue)" }
}
