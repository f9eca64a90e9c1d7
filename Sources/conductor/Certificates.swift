import ArgumentParser
import ConductorService
import Foundation
import TLSSocket

/// `conductor certificates`: a throw-away certificate authority, for trying out and for tests.
struct Certificates: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes certificates for trying the relay out, and for tests.",
        discussion: """
            The authority's key lies unencrypted in the directory: a real installation takes its certificates from its \
            own authority.
            """,
        subcommands: [Init.self, Guest.self, Revoke.self])

    /// The files of a directory of certificates.
    struct Directory {
        let path: String

        func file(_ name: String) -> URL { URL(fileURLWithPath: self.path).appending(path: name) }

        /// Writes a certificate and its key, which only we may read.
        func write(_ name: String, certificate: String, key: String) throws {
            try self.write(key, to: "\(name).key", mode: 0o600)
            try self.write(certificate, to: "\(name).pem", mode: 0o644)
            print("Wrote \(self.file("\(name).pem").path) and \(self.file("\(name).key").path).")
        }

        /// Writes the authority's revocation list over the one before, in one step: programs may be reading it.
        func write(list: String) throws {
            let url = self.file("ca.crl")
            do {
                try Data(list.utf8).write(to: url, options: .atomic)
                try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: url.path)
            } catch {
                throw ValidationError("\(url.path) cannot be written; check its directory.")
            }
            print("Wrote \(url.path).")
        }

        private func write(_ text: String, to name: String, mode: Int) throws {
            let url = self.file(name)
            // Made with its mode rather than narrowed afterwards; an existing file is never overwritten.
            guard
                !FileManager.default.fileExists(atPath: url.path),
                FileManager.default.createFile(
                    atPath: url.path, contents: Data(text.utf8), attributes: [.posixPermissions: mode])
            else {
                throw ValidationError("\(url.path) exists already or cannot be written; choose another --directory.")
            }
        }

        func read(_ name: String) throws -> String {
            let url = self.file(name)
            do {
                return String(decoding: try Data(contentsOf: url), as: UTF8.self)
            } catch {
                throw ValidationError("\(url.path) cannot be read; make it first with `conductor certificates init`.")
            }
        }
    }

    /// `conductor certificates init`.
    struct Init: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: """
                Makes an authority (ca.pem), its empty revocation list (ca.crl), and the conductor's certificate \
                (conductor.pem).
                """)

        @Option(help: ArgumentHelp("Where the files go; it is made if need be.", valueName: "directory"))
        var directory = "certificates"

        @Option(
            name: .customLong("name"),
            help: ArgumentHelp("A DNS name or IP address that guests know the conductor by.", valueName: "name"))
        var names = ["localhost", "127.0.0.1", "::1"]

        @Option(help: "How many days the certificates are valid.")
        var days = 365

        func run() throws {
            try ConductorExit.mapErrors {
                let directory = Directory(path: self.directory)
                try FileManager.default.createDirectory(
                    at: URL(fileURLWithPath: self.directory), withIntermediateDirectories: true,
                    attributes: [.posixPermissions: 0o700])
                let validity = CertificateValidity.days(self.days)
                let authority = try CertificateAuthority.create(
                    commonName: "Throw-away conductor authority", validity: validity)
                let addresses = self.names.filter { $0.contains(":") || $0.allSatisfy { $0.isNumber || $0 == "." } }
                let conductor = try authority.issueServer(
                    commonName: "conductor", dnsNames: self.names.filter { !addresses.contains($0) },
                    ipAddresses: addresses, validity: validity)
                try directory.write("ca", certificate: authority.certificatePEM, key: authority.privateKeyPEM)
                try directory.write(list: try authority.revocationList(validity: validity))
                try directory.write("conductor", certificate: conductor.certificatePEM, key: conductor.privateKeyPEM)
            }
        }
    }

    /// `conductor certificates guest`.
    struct Guest: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a guest's certificate, which names its instance.")

        @Argument(help: ArgumentHelp("The instance's id; the files are named guest-ID.", valueName: "id"))
        var instance: String

        @Option(help: ArgumentHelp("The directory that `init` made.", valueName: "directory"))
        var directory = "certificates"

        @Option(
            help: ArgumentHelp(
                "The tenant that the instance belongs to, in spiffe://DOMAIN/tenant/ID/instance/ID.", valueName: "id"))
        var tenant: String?

        @Option(
            help: ArgumentHelp(
                "The domain in spiffe://DOMAIN/instance/ID: the conductor's identity.trust_domain.",
                valueName: "domain"))
        var trustDomain = TrustDomain.throwAway.name

        @Option(help: "How many days the certificate is valid.")
        var days = 365

        func validate() throws {
            // The instance's id is the common name too, which has no room for more.
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
                    "A trust domain has 1 to 255 small letters, digits, hyphens, underscores or dots.")
            }
        }

        private static func isPlain(_ id: String) -> Bool { GuestIdentity.isName(id) && !id.hasPrefix(".") }

        func run() throws {
            try ConductorExit.mapErrors {
                let directory = Directory(path: self.directory)
                let authority = try CertificateAuthority(
                    certificatePEM: try directory.read("ca.pem"), privateKeyPEM: try directory.read("ca.key"))
                let tenant = self.tenant.map { "/tenant/\($0)" } ?? ""
                let guest = try authority.issueClient(
                    commonName: self.instance,
                    uris: ["spiffe://\(self.trustDomain)\(tenant)/instance/\(self.instance)"],
                    validity: .days(self.days))
                try directory.write(
                    "guest-\(self.instance)", certificate: guest.certificatePEM, key: guest.privateKeyPEM)
            }
        }
    }
}
