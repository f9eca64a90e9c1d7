// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import NIOConcurrencyHelpers

/// The queues that outcomes go to, and what the bench has taken from them.
final class BenchQueues: Sendable {
    /// Their names.
    static let names = ["notification.info", "notification.error"]

    private let client: BrokerClient
    private let taken = NIOLockedValueBox<[(queue: String, body: [UInt8])]>([])

    init(_ broker: TestBroker) { self.client = BrokerClient(broker) }

    /// What was taken from all of them since the last time, with what they hold now.
    func takeAll() async throws -> [(queue: String, body: [UInt8])] {
        for queue in Self.names { try await self.empty(queue) }
        return self.taken.withLockedValue { taken in
            defer { taken = [] }
            return taken
        }
    }

    /// Takes what a queue holds.
    ///
    /// - Returns: whether there is such a queue.
    /// - Throws: what ended the connection while messages were taken: one may be lost on its way to us, and the relay is
    ///   not to be blamed for that.
    @discardableResult
    func empty(_ queue: String) async throws -> Bool {
        guard try await self.isThere(queue) else { return false }
        while let message = try await self.client.get(queue) {
            self.taken.withLockedValue { $0.append((queue, message.body)) }
        }
        return true
    }

    /// Deletes a queue that holds nothing and that nobody sends to.
    ///
    /// - Returns: false when it held something after all, or was not there.
    func delete(_ queue: String) async -> Bool {
        do {
            try await self.client.deleteQueue(queue, ifEmpty: true)
            return true
        } catch {
            return false
        }
    }

    /// Asks with a question that may fail, since the broker may have been restarted after the last one: the connection
    /// that is found dead is made anew.
    private func isThere(_ queue: String) async throws -> Bool {
        var attempts = 20
        while true {
            do {
                _ = try await self.client.count(queue)
                return true
            } catch {
                if "\(error)".contains(": 404 ") { return false }
                attempts -= 1
                guard attempts > 0 else { throw error }
                try await Task.sleep(for: .milliseconds(250))
            }
        }
    }
}
