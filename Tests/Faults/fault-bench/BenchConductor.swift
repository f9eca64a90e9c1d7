// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import FaultPoints
import Foundation
import NIOConcurrencyHelpers

/// A conductor of the bench, which is restarted many times, behind a proxy whose port does not change.
final class BenchConductor: Sendable {
    /// Its process.
    let process: SupervisedProcess
    /// The proxy between it and the guests.
    let guests: CuttingProxy
    /// The proxy between it and the broker.
    let broker: CuttingProxy
    private let ledgerLine: NIOLockedValueBox<String?>
    private static let points: [FaultPoint] = [.conductorBeforeConfirm, .conductorBeforeAnswer, .publisherMidBatch]

    /// - Parameters:
    ///   - number: 1 or 2.
    ///   - setting: the programs, files and broker of the run.
    ///   - usesFaultPoints: whether some of its processes end at a named point.
    init(_ number: Int, _ setting: BenchSetting, usesFaultPoints: Bool) async throws {
        let name = "conductor\(number)"
        let (guests, broker) = (try await CuttingProxy.start(), try await CuttingProxy.start())
        broker.lead(to: Int(setting.broker.port))
        let file = "\(setting.directory)/\(name).yaml"
        try """
        listen: {host: 127.0.0.1, port: 0}
        tls:
          certificate: \(setting.certificates)/conductor.pem
          key: \(setting.certificates)/conductor.key
          guest_ca: \(setting.certificates)/ca.pem
        drivers: [messagingv2]
        messaging:
          transport_url: \(setting.broker.url(port: broker.port))
          durable: true
          publish_timeout: 3
          maximum_backoff: 1
        publisher: {host: edge, address: 192.0.2.1}
        drain_timeout: 20
        # The workload's guests report faster than real ones do.
        limits:
          requests_per_second: 2000
          requests_burst: 10000
          bytes_per_second: 67108864
          bytes_burst: 67108864

        """.write(toFile: file, atomically: true, encoding: .utf8)
        let ledger = NIOLockedValueBox<String?>(nil)
        self.ledgerLine = ledger
        self.guests = guests
        self.broker = broker
        self.process = SupervisedProcess(name: name) { onReady in
            var environment = setting.environment
            if usesFaultPoints, Bool.random(), let point = Self.points.randomElement() {
                environment["RELAY_FAULT_POINT"] = "\(point.rawValue)@\(Int.random(in: 1...500))"
            }
            return try BenchProcess(
                setting.program("conductor"), ["serve", "--config", file], environment: environment,
                log: "\(setting.directory)/\(name).log", listened: .standardError
            ) { line in
                if let match = line.firstMatch(of: /address=127\.0\.0\.1:(\d+).*Listening for guests/),
                    let port = Int(match.output.1)
                {
                    guests.lead(to: port)
                    onReady()
                }
                if line.contains("balanced=") { ledger.withLockedValue { $0 = line } }
            }
        }
    }

    /// The counters that it printed when it ended in order.
    var ledger: String? { self.ledgerLine.withLockedValue { $0 } }
}
