// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import ContextSigning
import LogTesting
import Logging
import Notifications
import Notifier
import RelayTesting
import Testing

/// Guests whose certificate names no tenant, at a conductor that requires one and at one that does not.
@Suite(.timeLimit(.minutes(1))) struct RequiredTenantTests {
    private static let ping = #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#
    private static let end = """
        {"jsonrpc":"2.0","id":2,"method":"notify_end","params":{"context":{"operation":"database_create",\
        "request_id":"r","tenant_id":"tenant-1","client_ip":"c","payload":{"dbname":"d"}}}}
        """

    @Test("Where a tenant is required, only a guest whose certificate names one is served")
    func tenantRequired() async throws {
        let (driver, log) = (TestDriver(), LogRecorder())
        let certificates = try TestCertificates()
        try certificates.write("tenant", TestCertificates.guest(of: certificates.authority, tenant: "tenant-1"))
        try await withConductor(
            Notifier(drivers: [driver]), certificates: certificates,
            authorization: GuestAuthorization(requiresTenant: true), logger: log.logger("conductor")
        ) { conductor in
            try await RawGuest.with(conductor) { guest in
                for line in [Self.ping, Self.end] {
                    let answer = try await guest.call(line)
                    #expect(answer.contains(#""reason":"unauthenticated","retryable":true"#), "\(answer)")
                    #expect(
                        answer.contains(
                            "it must have spiffe://conductor.test/tenant/TENANT/instance/ID."), "\(answer)")
                }
            }
            try await RawGuest.with(conductor, certificate: "tenant") { guest in
                var answer = try await guest.call(Self.ping)
                #expect(answer.contains("version"), "\(answer)")
                answer = try await guest.call(Self.end)
                #expect(answer.contains(#""disposition":"published""#), "\(answer)")
            }
            #expect(conductor.counters.rejected == ["unauthenticated": 1] && conductor.counters.isBalanced)
        }
        #expect(driver.notifications.map { $0.payload["tenant_id"] } == ["tenant-1"])
        // The log names the guest.
        let refused = log.entries.filter { $0.message == "Rejected a guest" && $0.level == .warning }
        #expect(refused.count == 1 && refused.first?.metadata["guest"] == "inst-1", "\(refused)")
        #expect(log.count("A guest's certificate names no tenant") == 0)
    }

    /// Logged once, and then at most once an hour, however many guests connect.
    @Test(
        "The first guest without a tenant is logged, unless signatures are required",
        arguments: [nil, ContextVerifier.Policy.accept, .require])
    func tenantNotRequired(policy: ContextVerifier.Policy?) async throws {
        let log = LogRecorder()
        let certificates = try TestCertificates()
        try certificates.write("tenant", TestCertificates.guest(of: certificates.authority, tenant: "tenant-1"))
        try certificates.write("second", TestCertificates.guest(of: certificates.authority, instance: "inst-2"))
        let verifier = try policy.map {
            ContextVerifier(
                keys: try SigningKeySet([try SignedGuest.key("now")]),
                configuration: ContextVerifier.Configuration(policy: $0))
        }
        try await withConductor(
            Notifier(drivers: [NoopDriver()]), certificates: certificates, verifier: verifier,
            logger: log.logger("conductor")
        ) { conductor in
            for name in ["tenant", "guest", "second", "guest"] {
                try await RawGuest.with(conductor, certificate: name) { guest in
                    let answer = try await guest.call(Self.ping)
                    #expect(answer.contains("version"), "\(answer)")
                }
            }
        }
        let told = log.entries.filter { $0.message.hasPrefix("A guest's certificate names no tenant") }
        // A signature names the tenant.
        guard policy != .require else {
            #expect(told.isEmpty)
            return
        }
        #expect(told.count == 1 && told.first?.level == .warning)
        #expect(told.first?.metadata["guest"] == "inst-1")
        #expect(told.first?.metadata["setting"] == "identity.require_tenant")
    }
}
