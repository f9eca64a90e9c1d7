package import NIOCore

/// Decides when memory is given back to the kernel that guests have left behind: when the number of connections has fallen far, and
/// seldom. It holds no clock and no allocator.
package struct MemoryReleaseStateMachine: Sendable {
    /// How many connections must have ended. What fewer leave behind is used again.
    package static let leastEnded = 500
    /// How long between two releases at least: a release holds up whoever allocates meanwhile.
    package static let interval = TimeAmount.seconds(30)

    /// The most there have been since the last release.
    private var peak = 0
    private var next: NIODeadline?

    /// There are no connections.
    package init() {}

    /// There are so many connections now.
    ///
    /// - Returns: whether memory is to be released now.
    package mutating func observed(connections: Int, now: NIODeadline) -> Bool {
        self.peak = max(self.peak, connections)
        guard self.peak - connections >= Self.leastEnded, connections <= self.peak / 2, now >= self.next ?? now else {
            return false
        }
        self.peak = connections
        self.next = now + Self.interval
        return true
    }
}
