// SPDX-License-Identifier: Apache-2.0

import CertificateIssuing
import ConductorRPC
import ConductorService
import NIOCore
import NIOPosix
import Notifier
import ProcessTesting
import RelayTesting
import TLSChannel
import Testing

/// Rejected handshakes, with a client from outside this project; the conductor continues to serve.
@Suite(.timeLimit(.minutes(2))) struct HandshakeRejectionTests {
    private enum TestClient: String, CaseIterable {
        case guest
        case withoutCertificate
        case ofAnotherAuthority
        case expired
        case tls12
        case tls11
    }

    private func arguments(_ client: TestClient, _ certificates: TestCertificates) throws -> [String] {
        func identity(_ name: String) -> [String] {
            ["-cert", certificates.path("\(name).pem"), "-key", certificates.path("\(name).key")]
        }
        switch client {
        case .guest: return identity("guest")
        case .withoutCertificate: return []
        case .ofAnotherAuthority:
            let other = try CertificateAuthority.create(commonName: "Other", validity: .days(1))
            try certificates.write("other", TestCertificates.guest(of: other))
            return identity("other")
        case .expired:
            let past = CertificateValidity(notBefore: 1_000_000_000, notAfter: 1_000_086_400)
            try certificates.write("expired", TestCertificates.guest(of: certificates.authority, validity: past))
            return identity("expired")
        case .tls12: return identity("guest") + ["-tls1_2"]
        // Lowered, because the client itself would otherwise not send a ClientHello.
        case .tls11: return identity("guest") + ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]
        }
    }

    @Test("Only a client with a valid certificate and TLS 1.3 is served", arguments: TestClient.allCases)
    private func clientAdmission(client: TestClient) async throws {
        let driver = TestDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            let certificates = conductor.certificates
            let openssl = try TestProcess(
                "openssl",
                [
                    "s_client", "-quiet", "-connect", "127.0.0.1:\(conductor.port)", "-CAfile",
                    certificates.path("ca.pem"),
                ] + self.arguments(client, certificates))
            // A rejected client may have exited before the test can write to it.
            try? openssl.send(SampleReport.line(id: 1) + "\n")
            let output = await openssl.outputUntil("published")
            #expect(output.contains("published") == (client == .guest), "\(output)")
            await openssl.finish()
            #expect(driver.notifications.count == (client == .guest ? 1 : 0))
            // The conductor continues to serve.
            try await RawGuest.with(conductor) { guest in
                let answer = try await guest.call(#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
                #expect(answer.contains("version"))
            }
        }
    }

    @Test("A peer that does not use TLS is disconnected")
    func plaintextPeer() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) { conductor in
            let channel = try await ClientBootstrap(group: TestEventLoops.group)
                .connect(host: "127.0.0.1", port: conductor.port).get()
            try? await channel.writeAndFlush(ByteBuffer(string: SampleReport.line(id: 1) + "\n"))
            try await channel.closeFuture.get()
            try await RawGuest.with(conductor) { guest in
                let answer = try await guest.call(#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
                #expect(answer.contains("version"))
            }
        }
    }

    @Test("A peer that sends nothing is disconnected at its deadline")
    func silentPeer() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) {
            $0.handshakeTimeout = .milliseconds(100)
        } _: { conductor in
            let channel = try await ClientBootstrap(group: TestEventLoops.group)
                .connect(host: "127.0.0.1", port: conductor.port).get()
            try await channel.closeFuture.get()
        }
    }

    @Test("The error for a port in use names listen.port")
    func portInUse() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) { conductor in
            let error = await #expect(throws: ConductorServerError.self) {
                try await withConductor(Notifier(drivers: [TestDriver()]), port: conductor.port) { _ in }
            }
            #expect(error?.description.contains("listen.port") == true)
        }
    }
}
