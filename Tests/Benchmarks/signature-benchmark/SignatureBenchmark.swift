// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BenchmarkFigures
import ConductorRPC
import ConductorService
import ContextSigning
import Foundation
import LogTesting
import NIOCore
import Notifications
import Notifier
import TLSChannel

/// `signature-benchmark`: the conductor's processor time for a report, unsigned and signed, without network and broker.
@main
struct SignatureBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "signature-benchmark",
        abstract: "Measure the time that checking a context's signature adds to a report.",
        discussion:
            "From the request's line to its answer, through the noop driver, on one thread. The kinds take turns, a "
            + "hundred reports each.")

    @Option(help: "The number of turns of each kind.")
    var rounds = 100

    /// The number of reports of each kind in each turn.
    private static let turn = 100
    private static let instance = "2f4a9c1e-6d0b-4b7e-9d53-3f1f0c7a55aa"

    private struct Kind {
        let name: String
        let signer: ContextSigner?
        let verifier: ContextVerifier?
        var times: [Double] = []
    }

    func run() async throws {
        let certificate = PeerCertificate(
            commonName: nil, uris: ["spiffe://conductor.test/instance/\(Self.instance)"], dnsNames: [],
            serialNumber: "01", notBefore: 0, notAfter: .max, sha256: "")
        let peer = RPCPeer(
            certificate: certificate, identity: GuestAuthorization().identity(of: certificate),
            remoteAddress: "192.0.2.9:5", localAddress: "192.0.2.1:8790")
        var kinds = try [self.kind("unsigned", nil)]
        kinds.append(try self.kind("HS256", SigningKey(kid: "shared", secret: Self.random())))
        kinds.append(try self.kind("EdDSA", SigningKey(kid: "pair", ed25519: Self.random(), isPrivate: true)))
        for round in 0...self.rounds {
            let isCounted = round > 0  // The first time takes longer.
            for index in kinds.indices {
                let time = try self.time(of: kinds[index], peer)
                if isCounted { kinds[index].times.append(time) }
            }
        }
        print("| a report | median | p90 | against unsigned |", "|---|---|---|---|", separator: "\n")
        let unsigned = Self.percentile(kinds[0].times, 50)
        for kind in kinds {
            let median = Self.percentile(kind.times, 50)
            print(
                String(
                    format: "| %@ | %.1f µs | %.1f µs | %.2f |", kind.name as NSString, median,
                    Self.percentile(kind.times, 90), median / unsigned))
        }
    }

    private func kind(_ name: String, _ key: SigningKey?) throws -> Kind {
        guard let key else { return Kind(name: name, signer: nil, verifier: nil) }
        return Kind(
            name: name, signer: try ContextSigner(key: key),
            verifier: ContextVerifier(keys: try SigningKeySet([key]), configuration: .init(policy: .require)))
    }

    /// Returns the time of one report in a turn, in microseconds. Each report is of a different operation, as in
    /// production.
    private func time(of kind: Kind, _ peer: RPCPeer) throws -> Double {
        let lines = try (0..<Self.turn).map { number in
            let context = NotificationContext(
                operation: "database_create", requestID: "req-\(number)", tenantID: "8a5f3ce8", userID: "user-1",
                clientIP: "192.0.2.7", payload: ["instance_id": .string(Self.instance), "dbname": "shop"])
            let report = OutcomeReport(
                context: try kind.signer?.sign(context, instanceID: Self.instance) ?? context,
                outcome: .end(payload: [:]))
            return ByteBuffer(bytes: RPCRequest(id: .number(.init(number)), call: .notify(report)).line.dropLast())
        }
        let relay = Relay(
            notifier: Notifier(drivers: [NoopDriver()]), catalogues: .builtIn, publisherID: "conductor.bench",
            rememberedIDs: 1000, verifier: kind.verifier,
            logger: .quiet)
        let time = try Self.microseconds {
            for line in lines { relay.handle(try RPCRequest(line: line).call, from: peer) { _ in } }
        }
        guard relay.counters.published == Self.turn else { throw CleanExit.message("a report was not published") }
        return time / Double(Self.turn)
    }

    private static func microseconds(_ body: () throws -> Void) rethrows -> Double {
        let start = ContinuousClock.now
        try body()
        return (ContinuousClock.now - start) / .microseconds(1)
    }

    private static func percentile(_ times: [Double], _ percent: Int) -> Double {
        times.sorted().percentile(percent) ?? 0
    }

    private static func random() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}
