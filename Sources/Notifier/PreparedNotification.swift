/// A notification that is ready to be sent: what takes long for a long one is done.
public struct PreparedNotification: Sendable {
    private let rest: @Sendable (_ completion: @escaping @Sendable (Result<Void, DriverError>) -> Void) -> Void

    /// - Parameter rest: sends the notification as ``NotificationDriver/enqueue(_:completion:)`` does.
    public init(
        _ rest: @escaping @Sendable (_ completion: @escaping @Sendable (Result<Void, DriverError>) -> Void) -> Void
    ) {
        self.rest = rest
    }

    /// Sends the notification as ``NotificationDriver/enqueue(_:completion:)`` does. Called at most once.
    package func enqueue(completion: @escaping @Sendable (Result<Void, DriverError>) -> Void) {
        self.rest(completion)
    }
}
