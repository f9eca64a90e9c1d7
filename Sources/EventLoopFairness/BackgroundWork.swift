package import NIOCore

/// Does what would keep an event loop from its other connections for too long: a step of a handshake, a long line.
package protocol BackgroundWork: Sendable {
    /// Does it soon, once, on any thread.
    ///
    /// - Parameter isContinuation: whether it goes on with something that was begun, and so goes before what begins.
    func submit(isContinuation: Bool, _ work: @escaping @Sendable () -> Void)

    /// Has an event loop do it soon. Called by work that was submitted, and only before it ends.
    func report(to eventLoop: any EventLoop, _ completion: @escaping @Sendable () -> Void)
}

extension BackgroundWork {
    /// Does the work, and comes back to the event loop with what came of it.
    ///
    /// - Parameters:
    ///   - eventLoop: where `completion` is called.
    ///   - isContinuation: whether it goes on with something that was begun, and so goes before what begins.
    ///   - work: what takes long; called once, on another thread, unless it is abandoned before.
    ///   - completion: called once when the work is done; not before this function has returned.
    /// - Returns: what to abandon, should nobody want it any more.
    @discardableResult
    package func perform<Value: Sendable>(
        on eventLoop: any EventLoop, isContinuation: Bool = false, _ work: @escaping @Sendable () -> Value,
        then completion: @escaping @Sendable (Value) -> Void
    ) -> PendingWork {
        let pending = PendingWork {
            let value = work()
            self.report(to: eventLoop) { completion(value) }
        }
        self.submit(isContinuation: isContinuation) { pending.begin() }
        return pending
    }
}
