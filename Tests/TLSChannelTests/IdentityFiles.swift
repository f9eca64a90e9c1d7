// SPDX-License-Identifier: Apache-2.0

import Foundation

@testable import CertificateIssuing
@testable import TLSChannel

/// Certificates as files for the `openssl` program, in a directory of their own.
final class IdentityFiles {
    let directory: URL

    init(_ identities: TestIdentities) throws {
        self.directory = FileManager.default.temporaryDirectory.appendingPathComponent("tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
        try self.write("ca.pem", identities.authority.certificatePEM)
        try self.write("server", identities.server)
        try self.write("client", identities.client)
    }

    deinit {
        try? FileManager.default.removeItem(at: self.directory)
    }

    func path(_ name: String) -> String {
        self.directory.appendingPathComponent(name).path
    }

    func write(_ name: String, _ identity: IssuedCertificate) throws {
        try self.write("\(name).pem", identity.certificatePEM)
        try self.write("\(name).key", identity.privateKeyPEM)
    }

    private func write(_ name: String, _ text: String) throws {
        let url = self.directory.appendingPathComponent(name)
        try Data(text.utf8).write(to: url)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: url.path)
    }
}
