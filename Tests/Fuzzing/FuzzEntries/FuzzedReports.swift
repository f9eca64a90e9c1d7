// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import ContextSigning
import NIOCore
import Notifications
import RelayTesting

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
        // A new relay for each input, which must not depend on those before it.
        let guest = ReportingGuest(
            namesTenant: case_.namesTenant, rememberedIDs: 4, verifier: case_.isSigned ? verifier : nil)
        let (answers, published) = guest.send(call)
        guard answers.count == 1 else { return "\(answers.count) answers to one request" }
        switch (answers[0], call) {
        case (.failure(let error), _):
            guard published.isEmpty else { return "a rejected report was published" }
            return error.message.isEmpty || error.message.utf8.count > 4096 ? "an error is empty or too long" : nil
        case (.success, .ping): return published.isEmpty ? nil : "a ping was published"
        case (.success, .notify(let report)):
            guard published.count <= 1 else { return "one report was published twice" }
            return published.first.flatMap { PublishedNames(report, case_).problem(in: $0) }
        }
    }
}

/// How a guest reports, and the requirements for its report.
struct ReportCase {
    /// Whether the guest's certificate names its tenant.
    var namesTenant: Bool
    /// Whether contexts must be signed.
    var isSigned: Bool
    /// Whether the operation failed.
    var isError: Bool
    /// Whether the signed context names the instance.
    var isInstanceSigned = false

    /// The phase that is reported.
    var phase: OperationPhase { self.isError ? .error : .end }

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
