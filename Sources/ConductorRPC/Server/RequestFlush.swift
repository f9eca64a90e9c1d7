import NIOConcurrencyHelpers
import NIOCore

/// Has a server's request handler flush once for all that the connections of an event loop have handed over in one go.
///
/// An event loop looks at its sockets, lets each connection take what has come, and then does what was left to do: that is when
/// the calls of all of them are flushed together.
package final class RequestFlush: Sendable {
    private let due = NIOLockedValueBox<Set<ObjectIdentifier>>([])

    /// A server has one for all of its connections.
    package init() {}

    /// Calls have been handed over. Called on the event loop.
    func isDue(_ requestHandler: any RPCRequestHandler, on eventLoop: any EventLoop) {
        guard self.due.withLockedValue({ $0.insert(ObjectIdentifier(eventLoop)).inserted }) else { return }
        eventLoop.execute {
            // First, so that what is handed over from now on is flushed anew.
            _ = self.due.withLockedValue { $0.remove(ObjectIdentifier(eventLoop)) }
            requestHandler.flush()
        }
    }
}
