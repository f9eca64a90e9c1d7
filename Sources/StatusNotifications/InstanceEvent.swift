// SPDX-License-Identifier: Apache-2.0

public import Notifications

/// An event of a database instance: one of Trove's status notifications (ceilometer-integration specification, 1.2.1).
public enum InstanceEvent: Sendable, Hashable {
    /// The instance was created.
    case create
    /// The instance was deleted; the deletion was complete at this time.
    case delete(at: NotificationTimestamp)
    /// The instance's volume, which had this size in GB before, was resized; the resize was complete at this time.
    case modifyVolume(oldSize: Int, at: NotificationTimestamp)
    /// The instance, which had this memory in MB before, got another flavor; the change was complete at this time.
    case modifyFlavor(oldMemory: Int, at: NotificationTimestamp)
    /// The instance existed in this period.
    case exists(AuditPeriod)

    /// The value of `event_type`.
    public var eventType: String {
        switch self {
        case .create: "trove.instance.create"
        case .delete: "trove.instance.delete"
        case .modifyVolume: "trove.instance.modify_volume"
        case .modifyFlavor: "trove.instance.modify_flavor"
        case .exists: "trove.instance.exists"
        }
    }
}
