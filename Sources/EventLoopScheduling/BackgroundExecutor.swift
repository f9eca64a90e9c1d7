// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// An executor for work that would keep an event loop from its other connections for too long: a step of a handshake, a
/// long line.
package protocol BackgroundExecutor: Sendable {
    /// Does the work soon, once, on any thread.
    ///
    /// - Parameter isContinuation: whether the work continues something that was begun; then it goes before work that
    ///   begins.
    func submit(isContinuation: Bool, _ work: @escaping @Sendable () -> Void)

    /// Calls the completion soon on the event loop. Only submitted work calls this, before it ends.
    func report(to eventLoop: any EventLoop, _ completion: @escaping @Sendable () -> Void)
}

extension BackgroundExecutor {
    /// Does the work in the background, then calls the completion with the result on the event loop.
    ///
    /// - Parameters:
    ///   - eventLoop: the event loop on which `completion` is called.
    ///   - isContinuation: whether the work continues something that was begun; then it goes before work that begins.
    ///   - work: the long work; called once, on another thread, unless it is abandoned before.
    ///   - completion: called once when the work is done; not before this function has returned.
    /// - Returns: a handle to abandon the work when its result is no longer needed.
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
