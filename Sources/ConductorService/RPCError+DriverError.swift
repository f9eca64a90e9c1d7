// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import Notifications
import Notifier

extension RPCError {
    /// Creates the answer to a driver's failure: enough for a guest to act on, and nothing about the control plane's
    /// internals.
    init(_ error: DriverError) {
        switch error.code {
        case .tooLarge:
            let limit = error.limitBytes
            let size = limit.map { " (\($0) bytes)" } ?? ""
            self.init(.tooLarge, "The notification is larger than the broker accepts\(size).", limitBytes: limit)
        case .rateLimited:
            self.init(
                .rateLimited,
                "This guest has reached its limit of notifications waiting for the broker; send this one again later.",
                retryAfterMilliseconds: 1000)
        case .unavailable:
            let problem =
                switch DriverName(rawValue: error.driver) {
                case .messaging?, .messagingv2?: "The broker has not confirmed the notification"
                case .log?: "The conductor's log driver cannot write the notification to standard output"
                default: "The conductor's driver \(error.driver.excerpt) cannot accept the notification"
                }
            self.init(.brokerUnavailable, "\(problem); send it again later.", retryAfterMilliseconds: 1000)
        default:
            self.init(
                .internal, "The conductor cannot publish this notification; its operator finds the reason in its log.",
                retryAfterMilliseconds: 60_000)
        }
    }
}
