// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CertificateIssuing
import ConductorService
import TLSChannel

/// `conductor certificates`: a throw-away certificate authority, for trying out and for tests.
struct Certificates: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make certificates for trials and tests of the relay.",
        discussion: """
            The authority's key is stored unencrypted in the directory: a real installation uses certificates of its \
            own authority.
            """,
        subcommands: [Init.self, Guest.self, Renew.self, Revoke.self])

    /// `conductor certificates init`.
    struct Init: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: """
                Make an authority (ca.pem), its empty revocation list (ca.crl), and the conductor's certificate \
                (conductor.pem).
                """)

        @Option(
            help: ArgumentHelp(
                "Write the files to this directory; create it if it does not exist.", valueName: "directory"))
        var directory = CertificateDirectory.defaultPath

        @Option(
            name: .customLong("name"),
            help: ArgumentHelp(
                "Put this DNS name or IP address of the conductor in its certificate.", valueName: "name"))
        var names = ["localhost", "127.0.0.1", "::1"]

        @Option(help: "Make the certificates valid for this many days.")
        var days = CertificateDirectory.defaultDays

        func run() throws {
            try ConductorExit.mapErrors {
                let validity = CertificateValidity.days(self.days)
                let authority = try CertificateAuthority.create(
                    commonName: "Throw-away conductor authority", validity: validity)
                let names = CertificateAuthority.ServerNames(self.names)
                let conductor = try authority.issueServer(
                    commonName: "conductor", dnsNames: names.dnsNames, ipAddresses: names.ipAddresses,
                    validity: validity)
                let list = try authority.revocationList(validity: validity)
                try CertificateDirectory(self.directory).makeWithDirectory(
                    CertificateDirectory.File.pair(
                        "ca", certificate: authority.certificatePEM, key: authority.privateKeyPEM)
                        + [.init(name: "ca.crl", text: list)]
                        + CertificateDirectory.File.pair(
                            "conductor", certificate: conductor.certificatePEM, key: conductor.privateKeyPEM),
                    remedy: "Choose another --directory, or renew a certificate with `conductor certificates renew`.")
            }
        }
    }

    /// `conductor certificates guest`.
    struct Guest: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a guest's certificate, which names its instance.")

        @Argument(help: ArgumentHelp("Name the instance by its id; the files are named guest-ID.", valueName: "id"))
        var instance: String

        @Option(help: ArgumentHelp("Use this directory, which `init` created.", valueName: "directory"))
        var directory = CertificateDirectory.defaultPath

        @Option(
            help: ArgumentHelp(
                "Name the instance's tenant, in spiffe://DOMAIN/tenant/ID/instance/ID.", valueName: "id"))
        var tenant: String?

        @Option(
            help: ArgumentHelp(
                "Set the domain in spiffe://DOMAIN/instance/ID: the conductor's identity.trust_domain.",
                valueName: "domain"))
        var trustDomain = TrustDomain.trial.name

        @Option(help: "Make the certificate valid for this many days.")
        var days = CertificateDirectory.defaultDays

        func validate() throws {
            // The instance's id is also the common name, which holds at most 64 characters.
            guard Self.isPlain(self.instance), self.instance.utf8.count <= 64 else {
                throw ValidationError("An instance's id has 1 to 64 letters, digits, hyphens, underscores or dots.")
            }
            guard self.tenant.map(Self.isPlain) ?? true else {
                throw ValidationError(
                    "A tenant's id has 1 to \(GuestIdentity.longestName) letters, digits, hyphens, underscores or dots."
                )
            }
            guard TrustDomain(self.trustDomain) != nil else {
                throw ValidationError(
                    "A trust domain has 1 to 255 lower-case letters, digits, hyphens, underscores or dots.")
            }
        }

        private static func isPlain(_ id: String) -> Bool { GuestIdentity.isName(id) && !id.hasPrefix(".") }

        func run() throws {
            try ConductorExit.mapErrors {
                let directory = CertificateDirectory(self.directory)
                let authority = try directory.authority()
                let tenant = self.tenant.map { "/tenant/\($0)" } ?? ""
                let guest = try authority.issueClient(
                    commonName: self.instance,
                    uris: ["spiffe://\(self.trustDomain)\(tenant)/instance/\(self.instance)"],
                    validity: .days(self.days))
                let name = "guest-\(self.instance)"
                try directory.make(
                    CertificateDirectory.File.pair(
                        name, certificate: guest.certificatePEM, key: guest.privateKeyPEM),
                    remedy:
                        "Renew the certificate with `conductor certificates renew \(name)`; or move \(name).pem and "
                        + "\(name).key away, if one of the two is lost or others may know the key, and make a new pair."
                )
                try directory.warnOfAuthority(authority, issued: guest.certificatePEM)
            }
        }
    }
}

extension CertificateAuthority.ServerNames {
    /// Separates a list of names and addresses, as on the command line, into DNS names and IP addresses.
    init(_ names: [String]) {
        let addresses = names.filter { $0.contains(":") || $0.allSatisfy { $0.isNumber || $0 == "." } }
        self.init(dnsNames: names.filter { !addresses.contains($0) }, ipAddresses: addresses)
    }
}
