// SPDX-License-Identifier: Apache-2.0

public import Notifications

/// The period that a periodic notification reports on: from its beginning up to, but not including, its ending.
public struct AuditPeriod: Sendable, Hashable {
    /// The first moment of the period.
    public let beginning: NotificationTimestamp
    /// The first moment after the period.
    public let ending: NotificationTimestamp

    /// Creates the period between two times; the ending is the later one.
    public init(beginning: NotificationTimestamp, ending: NotificationTimestamp) {
        self.beginning = beginning
        self.ending = ending
    }
}
