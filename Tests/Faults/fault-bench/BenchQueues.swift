// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import NIOConcurrencyHelpers

/// The queues of the outcomes, and the messages that the bench has taken from them.
final class BenchQueues: Sendable {
    /// Their names.
    static let names = ["notification.info", "notification.error"]

    private let client: BrokerClient
    private let taken = NIOLockedValueBox<[(queue: String, body: [UInt8])]>([])

    init(_ broker: TestBroker) { self.client = BrokerClient(broker) }

    /// Returns the messages that were taken from all queues since the last call, and those that are in them now.
    func takeAll() async throws -> [(queue: String, body: [UInt8])] {
        for queue in Self.names { try await self.empty(queue) }
        return self.taken.withLockedValue { taken in
            defer { taken = [] }
            return taken
        }
    }

    /// Takes all messages from a queue.
    ///
    /// - Returns: whether the queue exists.
    /// - Throws: the error that ended the connection while messages were taken: one may be lost between the broker and
    ///   the bench, and that is not the relay's fault.
    @discardableResult
    func empty(_ queue: String) async throws -> Bool {
        guard try await self.isThere(queue) else { return false }
        while let message = try await self.client.get(queue) {
            self.taken.withLockedValue { $0.append((queue, message.body)) }
        }
        return true
    }

    /// Deletes a queue that is empty and to which no message is sent.
    ///
    /// - Returns: false if it was not empty, or did not exist.
    func delete(_ queue: String) async -> Bool {
        do {
            try await self.client.deleteQueue(queue, ifEmpty: true)
            return true
        } catch {
            return false
        }
    }

    /// Asks with a request that may fail, because the broker may have been restarted since the last one: then the dead
    /// connection is replaced.
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
