// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessTesting

@testable import CertificateIssuing
@testable import TLSChannel

/// Revocation lists that the `openssl` program has made.
enum OpenSSLList {
    /// Returns a list of this authority that names one serial number, in hexadecimal. It is PEM text, perhaps with more
    /// around it.
    ///
    /// - Parameters:
    ///   - number: its crlNumber, in hexadecimal; nil for none.
    ///   - ageInHours: how long ago it was made.
    ///   - extensions: more lines of that section of the configuration, and sections that they name.
    ///   - options: more options of the program.
    static func make(
        authority: CertificateAuthority, serialNumber: String? = nil, number: String? = nil, ageInHours: Double = 0,
        extensions: String = "", options: [String] = []
    ) async throws -> String {
        let directory = FileManager.default.temporaryDirectory.appending(path: "crl-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        func write(_ name: String, _ text: String) throws -> String {
            let url = directory.appending(path: name)
            try Data(text.utf8).write(to: url)
            return url.path
        }
        let entry = serialNumber.map { "R\t491231235959Z\t250101000000Z\t\($0.uppercased())\tunknown\t/CN=guest\n" }
        let counter = try number.map { "crlnumber = \(try write("number", $0 + "\n"))\n" }
        let made = Date(timeIntervalSinceNow: -3600 * ageInHours).ISO8601Format(
            Date.ISO8601FormatStyle(dateSeparator: .omitted, timeSeparator: .omitted))
        let configuration = """
            [ca]
            default_ca = own
            [own]
            database = \(try write("index.txt", entry ?? ""))
            default_md = sha256
            \(counter ?? "")crl_extensions = extensions
            [extensions]
            authorityKeyIdentifier = keyid:always
            \(extensions)

            """
        let openssl = try TestProcess(
            "openssl",
            [
                "ca", "-gencrl", "-config", write("openssl.cnf", configuration), "-crldays", "1", "-crl_lastupdate",
                made.replacing("T", with: ""), "-cert", write("ca.pem", authority.certificatePEM), "-keyfile",
                write("ca.key", authority.privateKeyPEM),
            ] + options)
        return await openssl.outputUntilExit()
    }
}
