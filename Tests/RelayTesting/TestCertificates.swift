// SPDX-License-Identifier: Apache-2.0

package import CertificateIssuing
import ConductorRPC
package import Foundation
package import TLSChannel

/// Certificates made for one test, in a directory of their own that is removed with this object.
package final class TestCertificates: Sendable {
    /// The directory of the files.
    package let directory: URL
    /// The authority of the conductor and the guests.
    package let authority: CertificateAuthority

    /// Creates an authority, a conductor's certificate for 127.0.0.1 and localhost, and the certificate of the guest
    /// `inst-1`.
    package init() throws {
        self.directory = FileManager.default.temporaryDirectory.appending(path: "relay-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
        self.authority = try CertificateAuthority.create(commonName: "Test authority", validity: .days(1))
        try self.write("conductor", Self.server(of: self.authority))
        try self.write("guest", Self.guest(of: self.authority))
        try Data(self.authority.certificatePEM.utf8).write(to: self.directory.appending(path: "ca.pem"))
    }

    deinit { try? FileManager.default.removeItem(at: self.directory) }

    /// Creates the same with a revocation list that is empty, and with a second certificate of the guest, `revoked`, for
    /// a test that revokes it.
    package static func withRevocableGuest() throws -> (TestCertificates, revocable: IssuedCertificate) {
        let certificates = try TestCertificates()
        let revocable = try self.guest(of: certificates.authority)
        try certificates.write("revoked", revocable)
        try certificates.writeList()
        return (certificates, revocable)
    }

    /// Returns a conductor's certificate for 127.0.0.1 and localhost.
    package static func server(
        of authority: CertificateAuthority, name: String = "conductor", validity: CertificateValidity = .days(1)
    ) throws -> IssuedCertificate {
        try authority.issueServer(
            commonName: name, dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"], validity: validity)
    }

    /// Returns a certificate for a guest.
    ///
    /// - Parameters:
    ///   - instance: the instance that it names.
    ///   - tenant: the tenant that it names in addition, if any.
    package static func guest(
        of authority: CertificateAuthority, instance: String = "inst-1", tenant: String? = nil,
        validity: CertificateValidity = .days(1)
    ) throws -> IssuedCertificate {
        let path = (tenant.map { "/tenant/\($0)" } ?? "") + "/instance/\(instance)"
        // A common name has at most 64 characters.
        return try authority.issueClient(
            commonName: String(instance.prefix(64)), uris: ["spiffe://conductor.test\(path)"], validity: validity)
    }

    /// Writes `<name>.pem` and `<name>.key`.
    package func write(_ name: String, _ certificate: IssuedCertificate) throws {
        try Data(certificate.certificatePEM.utf8).write(to: self.directory.appending(path: "\(name).pem"))
        let key = self.directory.appending(path: "\(name).key")
        try Data(certificate.privateKeyPEM.utf8).write(to: key)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key.path)
    }

    /// Writes `<name>.crl`: the authority's list that revokes these certificates.
    package func writeList(
        _ name: String = "ca", revoking: [IssuedCertificate] = [], validity: CertificateValidity = .days(1)
    ) throws {
        let list = try self.authority.revocationList(
            revoking: revoking.map(\.certificatePEM), validity: validity)
        try Data(list.utf8).write(to: self.directory.appending(path: "\(name).crl"), options: .atomic)
    }

    /// Returns the path of one of the files.
    package func path(_ file: String) -> String { self.directory.appending(path: file).path }

    /// Returns the conductor's TLS context.
    ///
    /// - Parameter list: the file of the revocation lists.
    package func server(minimumVersion: TLSVersion = .tls13, list: String? = nil) throws -> TLSContext {
        try TLSContext(
            configuration: TLSConfiguration(
                role: .server, certificateChain: .file(self.path("conductor.pem")),
                privateKey: .file(self.path("conductor.key")), trustRoots: .file(self.path("ca.pem")),
                revocationLists: list.map { .file(self.path($0)) }, minimumVersion: minimumVersion,
                applicationProtocols: [RPCProtocol.applicationProtocol]))
    }

    /// Returns a guest's TLS context.
    ///
    /// - Parameter name: the name of the certificate, one of those that were written here.
    package func client(_ name: String = "guest") throws -> TLSContext {
        try TLSContext(
            configuration: TLSConfiguration(
                role: .client, certificateChain: .file(self.path("\(name).pem")),
                privateKey: .file(self.path("\(name).key")), trustRoots: .file(self.path("ca.pem")),
                applicationProtocols: [RPCProtocol.applicationProtocol]))
    }
}
