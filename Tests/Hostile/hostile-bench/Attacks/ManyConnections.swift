// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// Opens ten thousand connections with one identity, and keeps them open as long as the conductor allows.
struct ManyConnections: Attack {
    static let name = "many-connections"
    static let mustHappen = ["accepted", "refused rate_limited", "all attempts made"]
    static let mustNotHappen = ["accepted above 8 at once"]
    static let endsByItself = true

    /// limits.connections_per_guest.
    private static let limit = 8

    func run(_ target: Target) async throws {
        let guest = try target.guest(0)
        let left = NIOLockedValueBox(target.connections)
        let held = NIOLockedValueBox<[HostileSocket]>([])
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await target.workers(16, perSecond: 400) { _, _ in
                    let isLeft = left.withLockedValue { left in
                        left -= 1
                        return left >= 0
                    }
                    guard isLeft else { return }
                    let socket = try await HostileSocket.open(target, tls: guest, from: 1)
                    try? await socket.send(Requests.ping())
                    let open = held.withLockedValue { held in
                        held.append(socket)
                        held.removeAll { !$0.isOpen }
                        return held.count
                    }
                    target.tally.peak("open at once", open)
                }
            }
            group.addTask {
                while left.withLockedValue({ $0 }) > 0 { try? await Task.sleep(for: .milliseconds(50)) }
                // Waits until the last ones are rejected.
                try? await Task.sleep(for: .milliseconds(500))
            }
            await group.next()
            group.cancelAll()
        }
        // No accepted connection has been closed since, so this is their number.
        target.tally.add("accepted", target.tally["answered"])
        if target.tally["answered"] > Self.limit { target.tally.add("accepted above \(Self.limit) at once") }
        target.tally.add("all attempts made")
        withExtendedLifetime(held) {}
    }
}
