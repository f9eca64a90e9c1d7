package import Foundation
package import TLSSocket

/// Certificates made for one test, in a directory of their own that is removed with this object.
package final class TestCertificates: Sendable {
    /// Where the files lie.
    package let directory: URL
    /// The authority of conductor and guests.
    package let authority: CertificateAuthority

    /// An authority, a conductor's certificate for 127.0.0.1 and localhost, and the guest `inst-1`'s.
    package init() throws {
        self.directory = FileManager.default.temporaryDirectory.appending(path: "relay-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
        self.authority = try CertificateAuthority.create(commonName: "Test authority", validity: .days(1))
        try self.write(
            "conductor",
            self.authority.issueServer(
                commonName: "conductor", dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"], validity: .days(1)))
        try self.write("guest", Self.guest(of: self.authority))
        try Data(self.authority.certificatePEM.utf8).write(to: self.directory.appending(path: "ca.pem"))
    }

    deinit { try? FileManager.default.removeItem(at: self.directory) }

    /// A certificate for the guest `inst-1`.
    package static func guest(
        of authority: CertificateAuthority, validity: CertificateValidity = .days(1)
    ) throws -> IssuedCertificate {
        try authority.issueClient(
            commonName: "inst-1", uris: ["spiffe://conductor.test/instance/inst-1"], validity: validity)
    }

    /// Writes `<name>.pem` and `<name>.key`.
    package func write(_ name: String, _ certificate: IssuedCertificate) throws {
        try Data(certificate.certificatePEM.utf8).write(to: self.directory.appending(path: "\(name).pem"))
        try Data(certificate.privateKeyPEM.utf8).write(to: self.directory.appending(path: "\(name).key"))
    }

    /// The path of one of the files.
    package func path(_ file: String) -> String { self.directory.appending(path: file).path }

    /// The conductor's side of TLS.
    package func server(minimumVersion: TLSVersion = .tls13) throws -> TLSContext {
        try TLSContext(
            configuration: TLSConfiguration(
                role: .server, certificateChain: .file(self.path("conductor.pem")),
                privateKey: .file(self.path("conductor.key")), trustRoots: .file(self.path("ca.pem")),
                minimumVersion: minimumVersion))
    }

    /// A guest's side of TLS.
    package func client() throws -> TLSContext {
        try TLSContext(
            configuration: TLSConfiguration(
                role: .client, certificateChain: .file(self.path("guest.pem")),
                privateKey: .file(self.path("guest.key")), trustRoots: .file(self.path("ca.pem"))))
    }
}
