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
    ///   - work: what takes long; called once, on another thread, unless it is abandoned before.
    ///   - completion: called once when the work is done; not before this function has returned.
    /// - Returns: what to abandon, should nobody want it any more.
    @discardableResult
    package func perform<Value: Sendable>(
        on eventLoop: any EventLoop, _ work: @escaping @Sendable () -> Value,
        then completion: @escaping @Sendable (Value) -> Void
    ) -> PendingWork {
        let pending = PendingWork {
            let value = work()
            eventLoop.execute { completion(value) }
        }
        self.submit { pending.begin() }
        return pending
    }
}
