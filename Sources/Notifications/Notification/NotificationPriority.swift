/// The priority of a notification, which decides its queue and, in its upper-case form, which endpoint of an
/// oslo.messaging consumer takes it.
public enum NotificationPriority: String, Sendable, Hashable, CaseIterable {
    /// For the record.
    case audit
    /// For developers.
    case debug
    /// What happens in the normal course: starts and ends.
    case info
    /// Something unexpected that did no harm.
    case warn
    /// An operation failed.
    case error
    /// The service is in danger.
    case critical
    /// A measurement.
    case sample

    /// The form in a message's body: `INFO`.
    public var wireName: String { self.rawValue.uppercased() }
}
