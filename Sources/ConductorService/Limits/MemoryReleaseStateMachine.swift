// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// A state machine that decides when the unused memory of ended connections is released to the kernel: rarely, and only
/// after the number of connections has dropped far. It reads no clock and calls no allocator.
package struct MemoryReleaseStateMachine: Sendable {
    /// The minimum number of connections that must have ended. The memory of fewer connections is used again.
    package static let leastEnded = 500
    /// The minimum time between two releases: a release blocks all threads that allocate memory at that time.
    package static let interval = TimeAmount.seconds(30)

    /// The highest number of connections since the last release.
    private var peak = 0
    private var next: NIODeadline?

    /// Creates a machine without connections.
    package init() {}

    /// Records the number of connections.
    ///
    /// - Returns: whether to release memory now.
    package mutating func record(connections: Int, now: NIODeadline) -> Bool {
        self.peak = max(self.peak, connections)
        guard self.peak - connections >= Self.leastEnded, connections <= self.peak / 2, now >= self.next ?? now else {
            return false
        }
        self.peak = connections
        self.next = now + Self.interval
        return true
    }
}
