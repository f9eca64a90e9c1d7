// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import NIOConcurrencyHelpers
import NIOPosix
import Notifications
import TLSChannel

/// A guest that connects five times a second, reports an outcome and disconnects, and measures the time until it is
/// served.
final class Newcomer: Sendable {
    private let port: Int
    private let tls: TLSContext

    init(options: TargetOptions) throws {
        self.port = options.port
        self.tls = try Target.context("\(options.tls)/guest-newcomer", roots: options.tls)
    }

    /// The results of all visits.
    struct Visits {
        /// The times of the visits that were served.
        var times: [Duration] = []
        /// The times of the visits that the end of the window cut short, if longer than a second.
        var unfinished: [Duration] = []
        var failures = 0

        /// The first error of a visit that was not served.
        var failure: String?

        var text: String {
            let latencies = self.latencies
            let worst =
                self.times.isEmpty
                ? "" : " (p99 \(Report.text(latencies.p99)), max \(Report.text(latencies.maximum)))"
            return "\(self.times.count) of \(self.times.count + self.failures)\(worst)"
        }

        /// The times of all visits, which are lower bounds for the unfinished ones.
        var latencies: Latencies { Latencies(self.times + self.unfinished) }

        /// Records an error. A visit that the end of the window cuts short has not failed.
        mutating func note(_ error: any Error, after time: Duration) {
            if error is CancellationError {
                if time > .seconds(1) { self.unfinished.append(time) }
                return
            }
            self.failures += 1
            if self.failure == nil { self.failure = "\(error)" }
        }
    }

    /// Connects and disconnects until it is cancelled, and leaves no connection behind.
    func run() async -> Visits {
        var visits = Visits()
        while !Task.isCancelled {
            let start = ContinuousClock.now
            do {
                let connection = try await ConductorConnection.connect(
                    host: "127.0.0.1", port: self.port, tls: self.tls, group: MultiThreadedEventLoopGroup.singleton)
                do {
                    guard case .accepted = try await connection.call(.notify(Self.report)) else {
                        throw BenchError("it was answered something else")
                    }
                    visits.times.append(ContinuousClock.now - start)
                } catch {
                    visits.note(error, after: ContinuousClock.now - start)
                }
                await connection.close()
            } catch {
                visits.note(error, after: ContinuousClock.now - start)
            }
            try? await Task.sleep(for: .milliseconds(200))
        }
        return visits
    }

    private static var report: OutcomeReport {
        OutcomeReport(
            context: NotificationContext(
                operation: "database_create", requestID: "req-new", tenantID: "8a5f3ce8", clientIP: "192.0.2.7",
                payload: ["instance_id": "newcomer", "dbname": "shop"]),
            outcome: .end(payload: JSONObject()))
    }
}
