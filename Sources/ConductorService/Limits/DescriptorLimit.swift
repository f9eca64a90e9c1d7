import Foundation
import Glibc
package import Logging

/// How many file descriptors the process may have (RLIMIT_NOFILE), which connections need one of each.
package struct DescriptorLimit: Sendable, Hashable {
    /// What holds; a process may raise it to ``hard``.
    package var soft: Int
    /// What it can be raised to.
    package var hard: Int

    /// A limit of these values.
    package init(soft: Int, hard: Int) {
        self.soft = soft
        self.hard = hard
    }

    /// What is to be done so that a number of connections fits.
    package struct Plan: Sendable, Hashable {
        /// What the soft limit is to be raised to; nil to leave it.
        package var raiseTo: Int?
        /// How many connections fit whose handshake is done.
        package var connections: Int
        /// How many others fit.
        package var others: Int
    }

    /// What is to be done so that so many connections fit. The soft limit is raised no further than they need: of a limit of
    /// millions a child that closes all that it might have inherited has long.
    ///
    /// - Parameters:
    ///   - connections: how many there may be whose handshake is done.
    ///   - others: how many others there may be. Where not all fit, they have a quarter of the room at most.
    ///   - reserve: how many descriptors everything else needs.
    package func plan(connections: Int, others: Int = 0, reserve: Int) -> Plan {
        let needed = connections + others + reserve
        let raised = min(needed, self.hard)
        let room = max(raised, self.soft) - reserve
        let others = room >= connections + others ? others : min(others, max(room / 4, min(others, 2)))
        return Plan(
            raiseTo: raised > self.soft ? raised : nil,
            connections: max(1, min(connections, room - others)), others: others)
    }

    /// The process's own.
    package static func current() -> DescriptorLimit? {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        return DescriptorLimit(soft: Int(clamping: limit.rlim_cur), hard: Int(clamping: limit.rlim_max))
    }

    /// Raises the process's soft limit if so many connections need it, for as long as it runs; children inherit it.
    ///
    /// - Parameters:
    ///   - limits: as they are set; lowered to what fits.
    ///   - logger: warned when not all fit.
    package static func makeRoom(for limits: inout ConnectionLimits, logger: Logger) {
        guard var limit = self.current() else { return }
        let (connections, others) = (limits.connections, limits.handshakes + limits.pendingConnections)
        // What is open now; each event loop's three; the broker's connections, names that are looked up, commands' pipes.
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
        limits.connections = plan.connections
        limits.handshakes = min(limits.handshakes, max(1, plan.others / 2))
        limits.pendingConnections = max(1, plan.others - limits.handshakes)
        guard plan.connections < connections || plan.others < others else { return }
        logger.warning(
            """
            The process may not have as many file descriptors as limits.connections, limits.handshakes and \
            limits.pending_connections need, and takes fewer connections: raise RLIMIT_NOFILE (LimitNOFILE= in a unit) or lower \
            them
            """,
            metadata: [
                "RLIMIT_NOFILE": "\(limit.hard)", "limits.connections": "\(connections)",
                "needed": "\(connections + others + reserve)",
                "connections": "\(plan.connections)", "pending_connections": "\(limits.pendingConnections)",
            ])
    }
}
