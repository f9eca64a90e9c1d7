// SPDX-License-Identifier: Apache-2.0

/// The service that publishes, as its events describe it.
public struct NotificationOrigin: Sendable, Hashable {
    /// The publisher's id, `<service>.<host>`, such as `conductor.control-1`.
    public var publisherID: String
    /// The kind of service: `api`, `task`, `conductor`.
    public var serverType: String
    /// The service's address as the client reached it, `ip:port`.
    public var serverIP: String

    /// Creates an origin with these values.
    public init(publisherID: String, serverType: String, serverIP: String) {
        self.publisherID = publisherID
        self.serverType = serverType
        self.serverIP = serverIP
    }
}
