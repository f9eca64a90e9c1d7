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
        /// How many connections fit.
        package var connections: Int
    }

    /// What is to be done so that so many connections fit. The soft limit is raised no further than they need: of a limit of
    /// millions a child that closes all that it might have inherited has long.
    ///
    /// - Parameter reserve: how many descriptors everything else needs.
    package func plan(connections: Int, reserve: Int) -> Plan {
        let needed = connections + reserve
        let raised = min(needed, self.hard)
        return Plan(
            raiseTo: raised > self.soft ? raised : nil,
            connections: max(1, min(connections, max(raised, self.soft) - reserve)))
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
    ///   - connections: `limits.connections`.
    ///   - logger: warned when not so many fit.
    /// - Returns: how many connections fit, `connections` at most.
    package static func makeRoom(for connections: Int, logger: Logger) -> Int {
        guard var limit = self.current() else { return connections }
        // What is open now; each event loop's three; the broker's connections, names that are looked up, commands' pipes.
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 32
        let reserve = open + 4 * ProcessInfo.processInfo.processorCount + 64
        var plan = limit.plan(connections: connections, reserve: reserve)
        if let soft = plan.raiseTo {
            var raised = rlimit(rlim_cur: rlim_t(soft), rlim_max: rlim_t(limit.hard))
            if unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) != 0 {
                limit.hard = limit.soft
                plan = limit.plan(connections: connections, reserve: reserve)
            }
        }
        if plan.connections < connections {
            logger.warning(
                """
                The process may not have as many file descriptors as limits.connections needs, and takes fewer connections: \
                raise RLIMIT_NOFILE (LimitNOFILE= in a unit) or lower limits.connections
                """,
                metadata: [
                    "RLIMIT_NOFILE": "\(limit.hard)", "limits.connections": "\(connections)",
                    "needed": "\(connections + reserve)",
                    "connections": "\(plan.connections)",
                ])
        }
        return plan.connections
    }
}
