import NIOConcurrencyHelpers
public import Notifications
public import ServiceContextModule

/// The notification of the operation that runs: code deep inside it adds what the end should say.
///
/// ```swift
/// OperationNotification.current?.set("backup_id", to: .string(backup.id))
/// ```
public final class OperationNotification: Sendable {
    /// The context that the operation runs under.
    public let context: NotificationContext
    private let fields = NIOLockedValueBox(JSONObject())
    /// More than any event of the catalogue declares; it bounds what a loop gone wrong can pile up.
    private static let fieldLimit = 64

    init(context: NotificationContext) { self.context = context }

    /// The notification of the operation that the current task works for, if there is one.
    public static var current: OperationNotification? { ServiceContext.current?.operationNotification }

    /// Says a field of the end event (or of the error event, should the operation fail).
    ///
    /// - Parameters:
    ///   - field: a name that the catalogue declares for the event, such as `backup_id`; the conductor drops others.
    ///   - value: its value; a later call replaces an earlier one's.
    /// - Returns: false when the operation has 64 fields already, and this one was not taken.
    @discardableResult
    public func set(_ field: String, to value: JSONValue) -> Bool {
        self.fields.withLockedValue { fields in
            guard fields[field] != nil || fields.members.count < Self.fieldLimit else { return false }
            fields[field] = value
            return true
        }
    }

    /// The fields that were said so far.
    var payload: JSONObject { self.fields.withLockedValue { $0 } }
}

private enum OperationNotificationKey: ServiceContextKey {
    typealias Value = OperationNotification
    static let nameOverride: String? = "operation-notification"
}

extension ServiceContext {
    /// The notification of the operation that this context belongs to.
    public internal(set) var operationNotification: OperationNotification? {
        get { self[OperationNotificationKey.self] }
        set { self[OperationNotificationKey.self] = newValue }
    }
}
