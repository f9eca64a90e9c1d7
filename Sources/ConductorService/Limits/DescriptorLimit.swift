// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
package import Logging

/// The maximum number of file descriptors of the process (RLIMIT_NOFILE). Each connection needs one.
package struct DescriptorLimit: Sendable, Hashable {
    /// The limit that is in force. A process may raise it to ``hard``.
    package var soft: Int
    /// The highest value of ``soft``.
    package var hard: Int

    /// Creates a limit with these values.
    package init(soft: Int, hard: Int) {
        self.soft = soft
        self.hard = hard
    }

    /// The changes that make a number of connections fit.
    package struct Plan: Sendable, Hashable {
        /// The value to raise the soft limit to; nil to leave it.
        package var raiseTo: Int?
        /// The number of connections that fit whose handshake is done.
        package var connections: Int
        /// The number of other connections that fit.
        package var others: Int
    }

    /// Returns the changes that make so many connections fit. The soft limit is raised only as far as they need: with a
    /// limit of millions, a child process that closes all descriptors that it might have inherited takes long.
    ///
    /// - Parameters:
    ///   - connections: the wanted number of connections whose handshake is done.
    ///   - others: the wanted number of other connections. If not all fit, these get at most a quarter of the
    ///     descriptors, or 2 if that is more.
    ///   - reserve: the number of descriptors for everything else.
    package func plan(connections: Int, others: Int = 0, reserve: Int) -> Plan {
        let needed = connections + others + reserve
        let raised = min(needed, self.hard)
        let room = max(raised, self.soft) - reserve
        let others = room >= connections + others ? others : min(others, max(room / 4, min(others, 2)))
        return Plan(
            raiseTo: raised > self.soft ? raised : nil,
            connections: max(1, min(connections, room - others)), others: others)
    }

    /// Returns the limit of this process; nil if it cannot be read.
    package static func current() -> DescriptorLimit? {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        return DescriptorLimit(soft: Int(clamping: limit.rlim_cur), hard: Int(clamping: limit.rlim_max))
    }

    /// Raises the process's soft limit if so many connections need it, for as long as the process runs. Children
    /// inherit it.
    ///
    /// - Parameters:
    ///   - limits: the limits as they are set; lowered to what fits.
    ///   - logger: logs a warning if not all fit.
    package static func makeRoom(for limits: inout ConnectionLimits, logger: Logger) {
        guard var limit = self.current() else { return }
        let (connections, others) = (limits.connections, limits.handshakes + limits.pendingConnections)
        // The descriptors that are open now; three for each event loop (four are reserved); those of the broker's
        // connections, name lookups and pipes of commands.
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 32
        let reserve = open + 4 * ProcessInfo.processInfo.processorCount + 64
        var plan = limit.plan(connections: connections, others: others, reserve: reserve)
        if let soft = plan.raiseTo {
            var raised = rlimit(rlim_cur: rlim_t(soft), rlim_max: rlim_t(limit.hard))
            if unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) != 0 {
                limit.hard = limit.soft
                plan = limit.plan(connections: connections, others: others, reserve: reserve)
            }
        }
        guard plan.connections < connections || plan.others < others else { return }
        limits.lower(to: plan)
        logger.warning(
            """
            Lowered connection limits: too few file descriptors for limits.connections, limits.handshakes and \
            limits.pending_connections. Raise RLIMIT_NOFILE (LimitNOFILE= in a unit) or lower \
            them
            """,
            metadata: [
                "RLIMIT_NOFILE": "\(limit.hard)", "limits.connections": "\(connections)",
                "needed": "\(connections + others + reserve)",
                "connections": "\(plan.connections)", "pending_connections": "\(limits.pendingConnections)",
            ])
    }
}

extension ConnectionLimits {
    /// Lowers the limits to what fits. Handshakes keep at most half of the connections whose handshake is not done.
    package mutating func lower(to plan: DescriptorLimit.Plan) {
        self.connections = min(self.connections, plan.connections)
        guard plan.others < self.handshakes + self.pendingConnections else { return }
        self.handshakes = min(self.handshakes, max(1, plan.others / 2))
        self.pendingConnections = min(self.pendingConnections, max(1, plan.others - self.handshakes))
    }
}
