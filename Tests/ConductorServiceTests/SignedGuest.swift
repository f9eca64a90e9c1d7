// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import ContextSigning
import Logging
import Notifications
import Notifier
import RelayTesting
import TLSChannel

/// A relay that checks signed contexts, a control plane that signs them, and a guest, all without a network.
struct SignedGuest {
    static let certificate = PeerCertificate(
        commonName: "inst-1", uris: ["spiffe://conductor.test/instance/inst-1"], dnsNames: [], serialNumber: "01",
        notBefore: 0, notAfter: .max, sha256: "")

    let relay: Relay
    let signer: ContextSigner

    /// - Parameter configure: changes what the conductor requires.
    init(
        _ driver: any NotificationDriver, policy: ContextVerifier.Policy = .require, catalogues: Catalogues = .builtIn,
        rememberedIDs: Int = Relay.defaultRememberedIDs, limits: ReportLimits = ReportLimits(),
        configure: (inout ContextVerifier.Configuration) -> Void = { _ in }
    ) throws {
        try self.init(
            [driver], policy: policy, catalogues: catalogues, rememberedIDs: rememberedIDs, limits: limits,
            configure: configure)
    }

    /// Creates the same with several drivers.
    init(
        _ drivers: [any NotificationDriver], policy: ContextVerifier.Policy = .require,
        catalogues: Catalogues = .builtIn,
        rememberedIDs: Int = Relay.defaultRememberedIDs, limits: ReportLimits = ReportLimits(),
        configure: (inout ContextVerifier.Configuration) -> Void = { _ in }
    ) throws {
        let key = try Self.key("now")
        var configuration = ContextVerifier.Configuration(policy: policy)
        configuration.rememberedOperations = 100
        configure(&configuration)
        self.signer = try ContextSigner(key: key)
        self.relay = Relay(
            notifier: Notifier(drivers: drivers), catalogues: catalogues, publisherID: "conductor.test",
            rememberedIDs: rememberedIDs,
            verifier: ContextVerifier(keys: try SigningKeySet([key]), configuration: configuration), limits: limits,
            logger: Logger(label: "test"))
    }

    /// Returns a signing key with this id.
    static func key(_ kid: String) throws -> SigningKey {
        try SigningKey(kid: kid, secret: Array("\(kid): 0123456789abcdef0123456789abcdef".utf8))
    }

    /// Returns the sample context with a token of these claims.
    func context(_ claims: ContextClaims) throws -> NotificationContext {
        var context = SampleReport.context()
        context.token = CompactJWS.sign(JSONWriter.encode(.object(claims.json)), with: try Self.key("now"))
        return context
    }

    /// Returns the relay's answer to a report.
    func answer(_ report: OutcomeReport) async -> RPCResult {
        await withCheckedContinuation { continuation in
            self.send(report) { continuation.resume(returning: $0) }
        }
    }

    /// Sends a report, and returns before there is an answer.
    func send(_ report: OutcomeReport, completion: @escaping @Sendable (RPCResult) -> Void) {
        let peer = RPCPeer(
            certificate: Self.certificate, remoteAddress: "192.0.2.9:5", localAddress: "192.0.2.1:8790")
        self.relay.handle(.notify(report), from: peer, completion: completion)
    }
}

extension RPCResult {
    /// The error, if it is one.
    var failure: RPCError? {
        guard case .failure(let error) = self else { return nil }
        return error
    }
}
