// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
public import Notifications
import ServiceContextModule

/// The notification of the running operation. Code deep inside the operation adds fields of the end event to it.
///
/// ```swift
/// OperationNotification.current?.set("backup_id", to: .string(backup.id))
/// ```
public final class OperationNotification: Sendable {
    /// The context of the operation.
    public let context: NotificationContext
    private let fields = NIOLockedValueBox(JSONObject())
    /// The maximum number of fields, more than any event of the catalogue declares. It bounds the memory that a faulty
    /// loop can use.
    private static let fieldLimit = 64

    init(context: NotificationContext) { self.context = context }

    /// The notification of the operation that the current task works for; nil outside of an operation.
    public static var current: OperationNotification? { ServiceContext.current?.operationNotification }

    /// Sets a field of the end event (or of the error event, if the operation fails).
    ///
    /// - Parameters:
    ///   - field: a name that the catalogue declares for the event, such as `backup_id`; the conductor drops others.
    ///   - value: the field's value; a later call for the same field replaces it.
    /// - Returns: false when the operation already has 64 fields and this new one was not added.
    @discardableResult
    public func set(_ field: String, to value: JSONValue) -> Bool {
        self.fields.withLockedValue { fields in
            guard fields[field] != nil || fields.members.count < Self.fieldLimit else { return false }
            fields[field] = value
            return true
        }
    }

    /// The fields that were set so far.
    var payload: JSONObject { self.fields.withLockedValue { $0 } }
}

private enum OperationNotificationKey: ServiceContextKey {
    typealias Value = OperationNotification
    static let nameOverride: String? = "operation-notification"
}

extension ServiceContext {
    /// The notification of the operation that this context belongs to.
    var operationNotification: OperationNotification? {
        get { self[OperationNotificationKey.self] }
        set { self[OperationNotificationKey.self] = newValue }
    }
}
