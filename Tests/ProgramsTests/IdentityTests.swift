// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

/// The identity of guests: the certificates that the programs make, and the settings that say what a guest may report.
@Suite("conductor: guest identity", .timeLimit(.minutes(2)))
struct IdentityTests {
    private func call(instance: String, tenant: String = "tenant-1") -> String {
        #"{"jsonrpc":"2.0","id":7,"method":"notify_end","params":{"context":{"operation":"database_create","#
            + #""request_id":"r","tenant_id":"\#(tenant)","client_ip":"c","payload":{"instance_id":"\#(instance)","#
            + #""dbname":"d"}}}}"#
    }

    /// Returns the conductor's answer to a guest with one of the fixture's certificates.
    private func answer(
        _ relay: RelayFixture, _ conductor: RelayFixture.Conductor, certificate: String, _ call: String
    ) async throws -> String {
        let arguments = [
            "s_client", "-connect", "127.0.0.1:\(conductor.port)", "-quiet", "-verify_return_error", "-CAfile",
            relay.path("tls/ca.pem"), "-cert", relay.path("tls/guest-\(certificate).pem"), "-key",
            relay.path("tls/guest-\(certificate).key"),
        ]
        var answer = ""
        _ = try await Program("openssl").run(arguments) { guest in
            try await guest.write(call)
            answer = try await guest.standardOutput.line(containing: #""id":7"#)
            try? guest.send(.terminate)
        }
        return answer
    }

    @Test("A certificate's tenant and the permission rules decide what a guest may report")
    func tenantAndRules() async throws {
        try await RelayFixture.with { relay in
            for arguments in [["web-1", "--tenant", "tenant-1"], ["db-1", "--tenant", "tenant-2"]] {
                let end = try await Program.conductor.run(
                    ["certificates", "guest"] + arguments + ["--directory", relay.path("tls")])
                #expect(end.status == .exited(0), "\(end.errorText)")
            }
            let text = try await Program("openssl").run([
                "x509", "-noout", "-ext", "subjectAltName", "-in", relay.path("tls/guest-web-1.pem"),
            ])
            #expect(
                text.standardOutput.joined().contains("URI:spiffe://conductor.test/tenant/tenant-1/instance/web-1"))
            let more = "identity: {permissions: [\"tenant-1/web-*=database_*\", guest-1=dbaas.*]}"
            let end = try await relay.withConductor(more: more) { conductor in
                for (certificate, instance, tenant, word) in [
                    ("web-1", "web-1", "tenant-1", "published"), ("web-1", "web-2", "tenant-1", "not_permitted"),
                    ("web-1", "web-1", "tenant-2", "not_permitted"), ("guest-1", "guest-1", "tenant-1", "published"),
                    ("db-1", "db-1", "tenant-2", "not_permitted"),
                ] {
                    let answer = try await self.answer(
                        relay, conductor, certificate: certificate, self.call(instance: instance, tenant: tenant))
                    #expect(answer.contains(word), "\(certificate) \(instance) \(tenant): \(answer)")
                }
                #expect(try conductor.notifications().count == 2)
            }
            // At most one line a minute for each rejected guest.
            #expect(end.standardError.count { $0.contains("Rejected a guest") } == 2, "\(end.errorText)")
            #expect(end.errorText.contains("guest=tenant-1/web-1"))
        }
    }

    @Test("identity.trust_domain and identity.source decide which certificates are accepted")
    func identitySources() async throws {
        try await RelayFixture.with { relay in
            let end = try await Program.conductor.run([
                "certificates", "guest", "web-1", "--tenant", "tenant-1", "--trust-domain", "cloud.example",
                "--directory", relay.path("tls"),
            ])
            #expect(end.status == .exited(0), "\(end.errorText)")
            for (settings, certificate, word) in [
                ("identity: {trust_domain: cloud.example}", "web-1", "published"),
                ("identity: {trust_domain: cloud.example}", "guest-1", "unauthenticated"),
                ("", "web-1", "unauthenticated"),
                ("identity: {source: common_name}", "web-1", "published"),
            ] {
                try await relay.withConductor(more: settings) { conductor in
                    let answer = try await self.answer(
                        relay, conductor, certificate: certificate, self.call(instance: certificate))
                    #expect(answer.contains(word), "\(settings) \(certificate): \(answer)")
                }
            }
        }
    }

    @Test("An outcome for another instance is rejected as not permitted and is not published")
    func foreignInstance() async throws {
        try await RelayFixture.with { relay in
            let context = try relay.contextFile(payload: #"{"instance_id": "another", "dbname": "shop"}"#)
            try await relay.withConductor { conductor in
                let end = try await relay.exec(["true"], ports: [conductor.port], context: context)
                #expect(end.status == .exited(0), "\(end.errorText)")
                #expect(end.errorText.contains("not_permitted"), "\(end.errorText)")
                #expect(try conductor.notifications().isEmpty)
            }
        }
    }

    @Test("An outcome waits when a conductor rejects the certificate, and a later flush delivers it")
    func wrongTrustDomain() async throws {
        try await RelayFixture.with { relay in
            let wrong = try await relay.withConductor(more: "identity: {trust_domain: cloud.example}") { conductor in
                let end = try await relay.exec(["false"], ports: [conductor.port], drainTimeout: 1)
                #expect(end.status == .exited(1), "\(end.errorText)")
                #expect(end.errorText.contains("rejected this guest's certificate"), "\(end.errorText)")
                #expect(end.errorText.contains("another trust domain"), "\(end.errorText)")
                #expect(!end.errorText.contains("REFUSED"), "\(end.errorText)")
                #expect(try conductor.notifications().isEmpty)
            }
            #expect(wrong.errorText.contains("Rejected a guest"))
            let waiting = try await relay.guestAgent(["status", "--json"])
            #expect(
                waiting.standardOutput.joined().replacing(" ", with: "").contains(#""waiting":1"#),
                "\(waiting.standardOutput)")
            try await relay.withConductor { conductor in
                let flush = try await relay.guestAgent(["flush"], ports: [conductor.port])
                #expect(flush.status == .exited(0), "\(flush.errorText)")
                #expect(flush.standardOutput == ["1 delivered, 0 waiting, 0 set aside."], "\(flush.errorText)")
                _ = try await conductor.notification(of: "dbaas.database_create.error")
            }
        }
    }

    @Test(
        "Invalid identity settings end serve and check-config with 78 and are named",
        arguments: [
            ("identity.trust_domain=spiffe://a", "identity.trust_domain must have"),
            ("identity.trust_domain=Cloud.example", "identity.trust_domain must have"),
            ("identity.source=dns", "identity.source"),
            ("identity.permissions=web-1", "identity.permissions: the rule \"web-1\" is not GUESTS=OPERATIONS"),
            (
                "identity.permissions=a=database_crate",
                "identity.permissions: the rule \"a=database_crate\" matches no operation"
            ),
        ])
    func invalidSettings(_ setting: String, _ sentence: String) async throws {
        try await RelayFixture.with { relay in
            for command in ["serve", "check-config"] {
                let end = try await Program.conductor.run([
                    command, "--config", try relay.conductorFile(), "--set", setting,
                ])
                #expect(end.status == .exited(78), "\(end.errorText)")
                #expect(end.errorText.contains(sentence), "\(end.errorText)")
                #expect(end.standardError.count == 1)
            }
        }
    }

    @Test(
        "An instance, tenant or trust domain that a certificate cannot hold is rejected",
        arguments: [
            ["a/b"], ["a", "--tenant", "a/b"], ["a", "--tenant", ""], ["a", "--trust-domain", "A.b"],
            ["a", "--trust-domain", "a/b"], ["ä"], [".."],
        ])
    func invalidCertificateNames(_ arguments: [String]) async throws {
        try await RelayFixture.with { relay in
            let end = try await Program.conductor.run(
                ["certificates", "guest"] + arguments + ["--directory", relay.path("tls")])
            #expect(end.status == .exited(64), "\(end.errorText)")
        }
    }
}
