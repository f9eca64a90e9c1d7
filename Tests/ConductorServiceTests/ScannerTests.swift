// SPDX-License-Identifier: Apache-2.0

import Foundation
import Notifier
import ProcessTesting
import RelayTesting
import Testing

@Suite(.timeLimit(.minutes(2))) struct ScannerTests {
    private struct MissingScanner: Error, CustomStringConvertible {
        let description =
            "CONDUCTOR_TEST_SSLYZE is not set: this test needs a Python with sslyze, which Tests/run installs; or make one "
            + "with Tests/Compatibility/sslyze-requirements.txt and set the variable to it"
    }

    @Test("A TLS scanner finds the listener compliant with Mozilla's modern level")
    func mozillaModernLevel() async throws {
        guard let python = ProcessInfo.processInfo.environment["CONDUCTOR_TEST_SSLYZE"], !python.isEmpty else {
            throw MissingScanner()
        }
        try await withConductor(Notifier(drivers: [TestDriver()])) { conductor in
            let address = "127.0.0.1:\(conductor.port)"
            let (ca, certificate, key) = (
                conductor.certificates.path("ca.pem"), conductor.certificates.path("guest.pem"),
                conductor.certificates.path("guest.key")
            )
            let scanner = try TestProcess(
                python,
                [
                    "-W", "ignore", "-m", "sslyze", "--mozilla_config", "modern", "--certinfo_ca_file", ca, "--cert",
                    certificate, "--key", key, address,
                ])
            let report = await scanner.outputUntilExit()
            #expect(report.contains("\(address): OK - Compliant"), "\(report.suffix(2000))")
            // The checks that the scanner must have made for this result.
            #expect(report.contains("Client Renegotiation DoS Attack:   OK - Not vulnerable"))
            #expect(report.contains("TLS 1.2 Cipher Suites:\n     Attempted to connect using"))
            #expect(!report.contains("contains the anchor certificate"))
        }
    }
}
