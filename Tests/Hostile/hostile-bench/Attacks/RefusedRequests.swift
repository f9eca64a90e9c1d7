// SPDX-License-Identifier: Apache-2.0

/// Sends short requests that are always rejected, for another guest's instance, and more of them than a guest's share.
struct RefusedRequests: Attack {
    static let name = "refused-requests"
    static let mustHappen = ["refused not_permitted", "refused rate_limited"]
    static let mustNotHappen = ["answered"]

    func run(_ target: Target) async throws {
        let guests = try (0..<2).map { try target.guest($0) }
        let requests = String(repeating: Requests.outcome(id: "1", instance: "good-0"), count: 6000)
        await target.workers(2, perSecond: 20) { worker, _ in
            let socket = try await HostileSocket.open(target, tls: guests[worker], from: worker + 1)
            // Many at once, and more than limits.requests_per_second (100) and limits.requests_burst (2000).
            while socket.isOpen {
                _ = socket.sendIfWritable(requests)
                try await Task.sleep(for: .milliseconds(250))
            }
        }
    }
}
