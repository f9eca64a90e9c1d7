// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore

/// The scheduler of flushes: it makes a server's request handler flush once for all calls that the connections of an
/// event loop have handed off together.
///
/// An event loop polls its sockets, lets each connection process its input, and then runs the tasks that are due. One
/// of these tasks flushes the calls of all connections together.
package final class RequestFlushScheduler: Sendable {
    private let due = NIOLockedValueBox<Set<ObjectIdentifier>>([])

    /// Creates the scheduler of a server, which has one for all of its connections.
    package init() {}

    /// Schedules a flush, after calls were handed off. Called on the event loop.
    func schedule(_ requestHandler: any RPCRequestHandler, on eventLoop: any EventLoop) {
        guard self.due.withLockedValue({ $0.insert(ObjectIdentifier(eventLoop)).inserted }) else { return }
        eventLoop.execute {
            // Removed first, so that calls handed off from now on are flushed again.
            _ = self.due.withLockedValue { $0.remove(ObjectIdentifier(eventLoop)) }
            requestHandler.flush()
        }
    }
}
