// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import ContextSigning
import LogTesting
import NIOConcurrencyHelpers
import NIOCore
import Notifications
import Notifier
import TLSChannel

/// Sends a guest's reports through a whole relay, and searches the published messages for names that are not the
/// guest's.
///
/// The first byte says how (its bits: the certificate names the tenant; contexts must be signed; the rest is a request
/// line as it is). Otherwise the entry creates an honest report, which the control plane signs, of the operation that
/// the second byte selects, and the rest is the guest's changes to it: a place, a name and a value for each.
enum FuzzedReports {
    static func problem(with bytes: [UInt8]) -> String? {
        var input = FuzzBytes(bytes)
        let flags = input.byte()
        var case_ = ReportCase(namesTenant: flags & 1 != 0, isSigned: flags & 2 != 0, isError: flags & 8 != 0)
        let line: [UInt8]
        if flags & 4 != 0 {
            line = input.remainder()
        } else {
            case_.isInstanceSigned = flags & 16 != 0
            guard let report = ForgedReport(&input, case_) else { return nil }
            line = JSONWriter.encode(report.request)
        }
        return self.send(line, case_)
    }

    private static func send(_ line: [UInt8], _ case_: ReportCase) -> String? {
        guard let call = try? RPCRequest(line: ByteBuffer(bytes: line)).call else { return nil }
        guard let verifier = ReportCase.verifier else { return "no keys could be made" }
        let driver = TestDriver(capacity: 2)
        // A new relay for each input, which must not depend on those before it.
        let relay = Relay(
            notifier: Notifier(drivers: [driver]), catalogues: ReportCase.catalogues,
            publisherID: ReportCase.publisher, rememberedIDs: 4, verifier: case_.isSigned ? verifier : nil,
            logger: .quiet)
        let answer = NIOLockedValueBox<[RPCResult]>([])
        relay.handle(call, from: case_.peer) { result in answer.withLockedValue { $0.append(result) } }
        let answers = answer.withLockedValue { $0 }
        guard answers.count == 1 else { return "\(answers.count) answers to one request" }
        switch (answers[0], call) {
        case (.failure(let error), _):
            guard driver.notifications.isEmpty else { return "what was refused was published" }
            return error.message.isEmpty || error.message.utf8.count > 4096 ? "an error that nobody could read" : nil
        case (.success, .ping): return driver.notifications.isEmpty ? nil : "a ping was published"
        case (.success, .notify(let report)):
            guard driver.notifications.count <= 1 else { return "one report was published twice" }
            return driver.notifications.first.flatMap { PublishedNames(report, case_).problem(in: $0) }
        }
    }
}

/// The guest that reports, and the requirements for its reports.
struct ReportCase {
    /// Whether the guest's certificate names its tenant.
    var namesTenant: Bool
    /// Whether contexts must be signed.
    var isSigned: Bool
    /// Whether the operation failed.
    var isError: Bool
    /// Whether the signed context names the instance.
    var isInstanceSigned = false

    /// The guest's own names, followed by names that it must not use.
    static let (instance, tenant) = ("inst-1", "tenant-1")
    static let (otherInstance, otherTenant) = ("b7d3-other-instance", "b7d3-other-tenant")
    /// The common prefix of the names that it must not use.
    static let other = "b7d3-other"
    /// The conductor's own names.
    static let (publisher, address) = ("conductor.edge-1", "192.0.2.1:8790")

    /// The peer of the guest's connection.
    var peer: RPCPeer {
        let path = (self.namesTenant ? "/tenant/\(Self.tenant)" : "") + "/instance/\(Self.instance)"
        return RPCPeer(
            certificate: PeerCertificate(
                commonName: Self.otherInstance, uris: ["spiffe://conductor.test\(path)"],
                dnsNames: [Self.otherInstance],
                serialNumber: "01", notBefore: 0, notAfter: .max, sha256: ""),
            remoteAddress: "192.0.2.9:5", localAddress: Self.address)
    }

    /// Trove's catalogue, and that of another service, whose fields have other names.
    static let catalogues: Catalogues = {
        let vm = FieldDefinition.required("vm", "Machine", alternate: "vm_id", role: .instance)
        let shop = Catalogue(
            service: "shop", description: "", baseFields: [], identifiers: ["vm", "shelf"],
            operations: [
                OperationDefinition(
                    key: "sell",
                    start: EventDefinition(
                        eventType: "shop.sell.start",
                        fields: [vm, .optional("shelf", "Shelf"), .optional("till", "Till")]),
                    end: EventDefinition(
                        eventType: "shop.sell.end", fields: [.optional("owner", "Project", role: .tenant)]),
                    error: EventDefinition(
                        eventType: "shop.sell.error", priority: .error,
                        fields: [.required("message", ""), .required("exception", "", .texts)]))
            ])
        return (try? Catalogues(Catalogues.builtIn.catalogues + [shop])) ?? .builtIn
    }()

    private static let key = try? SigningKey(kid: "now", secret: Array("planted 0123456789abcdef0123456789abcdef".utf8))
    /// The control plane's signer.
    static let signer = key.flatMap { try? ContextSigner(key: $0) }
    static let verifier = key.flatMap { key in (try? SigningKeySet([key])).map { Self.verifier($0) } }

    private static func verifier(_ keys: SigningKeySet) -> ContextVerifier {
        var configuration = ContextVerifier.Configuration(policy: .require)
        configuration.rememberedOperations = 4
        return ContextVerifier(keys: keys, configuration: configuration)
    }
}
