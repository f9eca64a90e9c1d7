// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CertificateIssuing
import TLSChannel

extension Certificates {
    /// `conductor certificates renew`.
    struct Renew: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Renew a certificate: keep its key and names, and set a new expiry.",
            discussion: """
                Only the certificate's file is replaced, in one step, so that a program that runs never finds a certificate \
                and a key that do not match. Programs load the new one by themselves. The old one is not kept, but stays \
                valid until it expires. If others may know the key, revoke the certificate, move both files away, and \
                make a new pair. After renewing ca, replace ca.pem on every conductor and guest before the old one \
                expires; certificates and revocation lists stay valid.
                """)

        @Argument(
            help: ArgumentHelp(
                "Renew the certificate in this file (without .pem): guest-ID, conductor, or ca.", valueName: "name"))
        var name: String

        @Option(help: ArgumentHelp("Use this directory, which `init` created.", valueName: "directory"))
        var directory = CertificateDirectory.defaultPath

        @Option(
            name: .customLong("name"),
            help: ArgumentHelp(
                "Set a DNS name or IP address of the conductor from now on; by default keep its present ones.",
                valueName: "name"))
        var names: [String] = []

        @Option(help: "Make the certificate valid for this many days.")
        var days = CertificateDirectory.defaultDays

        func validate() throws {
            guard !self.name.contains("/"), !self.name.isEmpty else {
                throw ValidationError("Name a certificate of the directory: guest-ID, conductor, or ca.")
            }
            guard self.names.isEmpty || self.name == "conductor" else {
                throw ValidationError(
                    "Only the conductor's certificate has names; give --name with `renew conductor` only.")
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
