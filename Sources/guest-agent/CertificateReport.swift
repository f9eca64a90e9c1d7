// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import Foundation
import GuestAgent
import Notifications
import Settings
import TLSChannel

/// The part of `guest-agent status` about the guest's certificates.
struct CertificateReport {
    private var expiries: [TLSExpiry] = []
    private var problem: String?
    private let now = Int64(Date().timeIntervalSince1970)

    /// - Returns: nil when the settings name no certificates.
    init?(_ settings: Settings) throws {
        guard let certificate = try settings.optionalString("tls.certificate"),
            let key = try settings.optionalString("tls.key"), let authorities = try settings.optionalString("tls.ca")
        else { return nil }
        do {
            self.expiries = try TLSContext(
                configuration: TLSConfiguration(
                    role: .client, certificateChain: .file(certificate), privateKey: .file(key),
                    trustRoots: .file(authorities),
                    revocationLists: try settings.optionalString("tls.crl").map(TLSSource.file),
                    applicationProtocols: [RPCProtocol.applicationProtocol])
            ).expiries
        } catch let error as TLSError {
            self.problem = error.message
        }
    }

    /// The report for people, as lines of text.
    var lines: [String] {
        var watch = ExpiryStateMachine()
        let due = Set(watch.dueWarnings(self.expiries, now: self.now).filter { !$0.isEarly }.map(\.expiry))
        return self.expiries.map { $0.line(now: self.now) + (due.contains($0) ? " - RENEW IT" : "") }
            + [self.problem].compactMap { $0.map { "certificates CANNOT BE USED: \($0)" } }
    }

    /// The report for programs.
    var json: JSONObject {
        [
            "problem": self.problem.map { .string($0) } ?? .null,
            "files": .array(
                self.expiries.map { expiry in
                    .object([
                        "kind": .string(expiry.kind.rawValue), "name": .string(expiry.name),
                        "source": .string(expiry.source), "valid_until": .string(expiry.end),
                        "seconds_left": .number(JSONNumber(Int(expiry.notAfter - self.now))),
                    ])
                }),
        ]
    }
}
