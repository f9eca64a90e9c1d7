// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TLSSocket

extension Certificates {
    /// `conductor certificates renew`.
    struct Renew: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a certificate anew, for its key, with its names, and another end.",
            discussion: """
                Only the certificate's file is replaced, in one step, so that a program that runs never finds a certificate \
                and a key that do not match; it takes the new one up by itself. The certificate before is not kept: it stays \
                valid to its own end. When somebody may have seen the key, revoke the certificate, move both files away, and \
                make a new pair. Of the authority, ca.pem of every conductor and guest has to be replaced before the old one \
                ends; certificates and revocation lists stay.
                """)

        @Argument(
            help: ArgumentHelp(
                "What the certificate's file is called, without .pem: guest-ID, conductor, or ca.", valueName: "name"))
        var name: String

        @Option(help: ArgumentHelp("The directory that `init` made.", valueName: "directory"))
        var directory = "certificates"

        @Option(
            name: .customLong("name"),
            help: ArgumentHelp(
                "A DNS name or IP address that guests know the conductor by, from now on; without any, those it has.",
                valueName: "name"))
        var names: [String] = []

        @Option(help: "How many days the certificate is valid.")
        var days = 365

        func validate() throws {
            guard !self.name.contains("/"), !self.name.isEmpty else {
                throw ValidationError("Name a certificate of the directory: guest-ID, conductor, or ca.")
            }
            guard self.names.isEmpty || self.name == "conductor" else {
                throw ValidationError("Only the conductor's certificate has names: --name goes with `renew conductor`.")
            }
        }

        func run() throws {
            try ConductorExit.mapErrors {
                let directory = CertificateDirectory(self.directory)
                try directory.locked {
                    let authority = try directory.authority()
                    let validity = CertificateValidity.days(self.days)
                    guard self.name != "ca" else {
                        try directory.replace("ca.pem", with: try authority.ownRenewal(validity: validity))
                        return
                    }
                    let certificate = try directory.read("\(self.name).pem")
                    guard let key = try directory.readIfPresent("\(self.name).key") else {
                        throw ValidationError(
                            "\(directory.path(of: "\(self.name).key")) does not exist, and without its key a certificate is"
                                + " of no use. Move \(self.name).pem away and make a new pair with `conductor certificates`."
                        )
                    }
                    let list = try directory.readIfPresent("ca.crl")
                    let names = self.names.isEmpty ? nil : CertificateAuthority.ServerNames(self.names)
                    let renewed = try directory.naming(["\(self.name).pem"]) { () throws(TLSError) in
                        try authority.renewal(
                            of: certificate, privateKey: key, names: names, revokedBy: list, validity: validity)
                    }
                    try directory.replace("\(self.name).pem", with: renewed)
                    try directory.warnOfAuthority(authority, issued: renewed)
                }
            }
        }
    }
}
