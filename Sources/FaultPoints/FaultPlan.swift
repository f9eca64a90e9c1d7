// SPDX-License-Identifier: Apache-2.0

#if FAULT_POINTS
    import Foundation
    import Glibc
    import NIOConcurrencyHelpers

    /// The faults that the fault bench injects into this process: `RELAY_FAULT_POINT=<name>@<count>` ends it when the
    /// point is reached for the `count`th time, `RELAY_SABOTAGE=<name>` breaks a promise.
    package final class FaultPlan: Sendable {
        /// The plan of this process.
        package static let current = FaultPlan(environment: ProcessInfo.processInfo.environment)

        /// The promise that is broken; nil for none.
        package let sabotage: Sabotage?
        private let point: FaultPoint?
        private let left: NIOLockedValueBox<Int>

        private init(environment: [String: String]) {
            self.sabotage = environment["RELAY_SABOTAGE"].map { name in
                guard let sabotage = Sabotage(rawValue: name) else { fatalError("RELAY_SABOTAGE: no such: \(name)") }
                return sabotage
            }
            let parts = environment["RELAY_FAULT_POINT"]?.split(separator: "@") ?? []
            self.point = parts.first.map { name in
                guard let point = FaultPoint(rawValue: String(name)) else {
                    fatalError("RELAY_FAULT_POINT: no such: \(name)")
                }
                return point
            }
            self.left = NIOLockedValueBox(parts.count > 1 ? Int(parts[1]) ?? 1 : 1)
        }

        /// Ends the process if the plan names this point and its count is reached.
        package func reached(_ point: FaultPoint) {
            guard point == self.point else { return }
            let isNow = self.left.withLockedValue { left in
                left -= 1
                return left == 0
            }
            guard isNow else { return }
            // The bench counts the kills at named points.
            try? FileHandle.standardError.write(contentsOf: Data("fault point \(point.rawValue)\n".utf8))
            kill(getpid(), SIGKILL)
        }
    }
#endif
