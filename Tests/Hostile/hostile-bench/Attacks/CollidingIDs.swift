// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOConcurrencyHelpers

/// Uses one request id for everything in flight, and one message id for many outcomes.
struct CollidingIDs: Attack {
    static let name = "colliding-ids"
    static let mustHappen = ["published", "refused invalid_params"]
    static let mustNotHappen = ["published twice"]

    func run(_ target: Target) async throws {
        let guests = try (0..<4).map { try target.guest($0) }
        let published = NIOLockedValueBox(Set<String>())
        await target.workers(4, perSecond: 4) { worker, _ in
            let socket = try await HostileSocket.open(target, tls: guests[worker], from: worker + 1) { line in
                guard line.contains(#""published""#),
                    let id = line.firstMatch(of: #/"message_id":"([0-9a-f-]+)"/#)?.output.1
                else { return }
                target.tally.add("published")
                if !published.withLockedValue({ $0.insert(String(id)).inserted }) {
                    target.tally.add("published twice")
                }
            }
            // Each message id is used two hundred times, with two hundred contents, by the guests of two connections.
            while socket.isOpen {
                let messageID = UUID().uuidString.lowercased()
                for number in 0..<20 {
                    let requests = (0..<10).map { request in
                        Requests.outcome(
                            id: "1", instance: Target.instance(worker), messageID: messageID,
                            database: "db-\(number * 10 + request)")
                    }
                    try await socket.send(requests.joined())
                    try await Task.sleep(for: .milliseconds(40))
                }
            }
        }
    }
}
