// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import NIOConcurrencyHelpers
import NIOPosix
import Notifications
import TLSChannel

/// A well-behaved guest: one connection, and one outcome after the other at a steady rate, whether or not the last was
/// answered.
///
/// A time is measured from the moment when a request is passed to the connection until its answer arrives.
final class SteadyGuest: Sendable {
    private let instance: String
    private let interval: Duration
    /// The time at which it sends in each interval: guests that send at the same time would wait for each other.
    private let phase: Duration
    private let port: Int
    private let tls: TLSContext
    private let window = NIOLockedValueBox<Window?>(nil)

    /// - Parameters:
    ///   - number: the number of this guest.
    ///   - count: the number of well-behaved guests.
    ///   - rate: the number of requests a second.
    init(_ number: Int, of count: Int, options: TargetOptions, rate: Int) throws {
        self.instance = "good-\(number)"
        self.interval = .seconds(1) / rate
        self.phase = self.interval * number / count
        self.port = options.port
        self.tls = try Target.context("\(options.tls)/guest-\(self.instance)", roots: options.tls)
    }

    /// Sets the window in which requests count from now on; nil for none.
    func count(in window: Window?) { self.window.withLockedValue { $0 = window } }

    /// Works until it is cancelled. The end of its connection counts as one wrong answer, and it connects again.
    func run() async {
        while !Task.isCancelled {
            do {
                let connection = try await ConductorConnection.connect(
                    host: "127.0.0.1", port: self.port, tls: self.tls, group: MultiThreadedEventLoopGroup.singleton)
                await self.work(connection)
                connection.beginClosing()
            } catch {
                self.note("cannot connect: \(error)")
                try? await Task.sleep(for: .milliseconds(500))
            }
        }
    }

    private func work(_ connection: ConductorConnection) async {
        let isLost = NIOLockedValueBox(false)
        while !Task.isCancelled, !isLost.withLockedValue({ $0 }) {
            try? await Task.sleep(until: self.next)
            let window = self.window.withLockedValue { $0 }
            window?.sent()
            let start = ContinuousClock.now
            connection.call(.notify(self.report)) { result in
                switch result {
                case .success(.accepted(_, .published)): window?.answered(after: ContinuousClock.now - start)
                case .success(let reply): window?.failed("\(reply)")
                case .failure(let error):
                    window?.failed("\(error)")
                    if case .connectionLost = error { isLost.withLockedValue { $0 = true } }
                }
            }
        }
    }

    /// The next time to send, in step with the others even after a delay.
    private var next: ContinuousClock.Instant {
        let since = Self.beginning.duration(to: .now) - self.phase
        return Self.beginning + self.phase + self.interval * ((since / self.interval).rounded(.down) + 1)
    }

    private static let beginning = ContinuousClock.now

    private func note(_ failure: String) {
        guard let window = self.window.withLockedValue({ $0 }) else { return }
        window.sent()
        window.failed(failure)
    }

    private var report: OutcomeReport {
        OutcomeReport(
            context: NotificationContext(
                operation: "database_create", requestID: "req-good", tenantID: "8a5f3ce8", clientIP: "192.0.2.7",
                payload: ["instance_id": .string(self.instance), "dbname": "shop"]),
            outcome: .end(payload: JSONObject()))
    }
}
