// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CertificateIssuing
import TLSChannel

extension Certificates {
    /// `conductor certificates revoke`.
    struct Revoke: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke certificates: write the authority's next revocation list (ca.crl).",
            discussion: """
                Revoked certificates stay revoked. Without a name, renew the list unchanged, because it expires too. Set it as \
                tls.guest_crl of the conductor and as tls.crl of its guests.
                """)

        @Argument(
            help: ArgumentHelp(
                "Revoke the certificate in this file (without .pem): guest-ID, or conductor.", valueName: "name"))
        var names: [String] = []

        @Option(help: ArgumentHelp("Use this directory, which `init` created.", valueName: "directory"))
        var directory = CertificateDirectory.defaultPath

        @Option(help: "Make the list valid for this many days; write the next one before it expires.")
        var days = 30

        func validate() throws {
            guard !self.names.contains(where: { $0.contains("/") || $0.isEmpty }) else {
                throw ValidationError("Name a certificate of the directory: guest-ID, or conductor.")
            }
        }

        func run() throws {
            try ConductorExit.mapErrors {
                let directory = CertificateDirectory(self.directory)
                try directory.locked {
                    let authority = try directory.authority()
                    // A directory of an earlier release has no list. A list that exists must be read: a new list
                    // without its entries would admit every revoked guest again.
                    let previous = try directory.readIfPresent("ca.crl")
                    let revoked = try self.names.map { try directory.read("\($0).pem") }
                    let files = self.names.map { "\($0).pem" } + ["ca.crl"]
                    let list = try directory.naming(files) { () throws(TLSError) in
                        try authority.revocationList(revoking: revoked, after: previous, validity: .days(self.days))
                    }
                    try directory.replace("ca.crl", with: list)
                }
            }
        }
    }
}
