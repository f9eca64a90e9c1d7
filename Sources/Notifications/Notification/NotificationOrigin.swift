/// The service that publishes: what it says of itself in the events.
public struct NotificationOrigin: Sendable, Hashable {
    /// `<service>.<host>`, such as `conductor.control-1`.
    public var publisherID: String
    /// The kind of service: `api`, `task`, `conductor`.
    public var serverType: String
    /// Its address as the client reached it, `ip:port`.
    public var serverIP: String

    /// An origin of these values.
    public init(publisherID: String, serverType: String, serverIP: String) {
        self.publisherID = publisherID
        self.serverType = serverType
        self.serverIP = serverIP
    }
}
