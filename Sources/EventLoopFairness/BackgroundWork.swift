package import NIOCore

/// Does what would keep an event loop from its other connections for too long: a step of a handshake, a long line.
package protocol BackgroundWork: Sendable {
    /// Does it soon, once, on any thread.
    func submit(_ work: @escaping @Sendable () -> Void)
}

extension BackgroundWork {
    /// Does the work, and comes back to the event loop with what came of it.
    ///
    /// - Parameters:
    ///   - eventLoop: where `completion` is called.
    ///   - work: what takes long; called once, on another thread.
    ///   - completion: called once; not before this function has returned.
    package func perform<Value: Sendable>(
        on eventLoop: any EventLoop, _ work: @escaping @Sendable () -> Value,
        then completion: @escaping @Sendable (Value) -> Void
    ) {
        self.submit {
            let value = work()
            eventLoop.execute { completion(value) }
        }
    }
}
