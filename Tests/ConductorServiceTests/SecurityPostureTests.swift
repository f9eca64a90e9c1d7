// SPDX-License-Identifier: Apache-2.0

import ConductorService
import Testing

/// Warnings of `serve` and `check-config`.
@Suite struct SecurityPostureTests {
    private static let own = TrustDomain("cloud.example") ?? .trial
    private static let safe = SecurityPosture(
        signatures: .require, hasGuestRevocationList: true,
        authorization: GuestAuthorization(source: .spiffe(Self.own), requiresTenant: true), plaintextBrokers: [])

    private func settings(_ change: (inout SecurityPosture) -> Void) -> [String] {
        var posture = Self.safe
        change(&posture)
        return posture.warnings.map(\.setting)
    }

    @Test("A safe configuration has no warning")
    func safeConfiguration() { #expect(Self.safe.warnings.isEmpty) }

    @Test("Signatures that are off have a warning")
    func signaturesOff() {
        #expect(self.settings { $0.signatures = .off } == ["context_signatures.mode"])
        #expect(self.settings { $0.signatures = .accept }.isEmpty)
    }

    @Test("A missing revocation list has a warning")
    func missingRevocationList() {
        #expect(self.settings { $0.hasGuestRevocationList = false } == ["tls.guest_crl"])
    }

    @Test("Certificates without tenants have a warning, unless signatures are required")
    func certificatesWithoutTenants() {
        for policy in ContextVerifier.Policy.allCases {
            let settings = self.settings {
                $0.signatures = policy
                $0.requiresTenant = false
            }
            // A signature names the tenant.
            #expect(settings.contains("identity.require_tenant") == (policy != .require))
        }
    }

    @Test("The quickstart's trust domain has a warning")
    func quickstartTrustDomain() {
        #expect(self.settings { $0.identity = .spiffe(.trial) } == ["identity.trust_domain"])
        // The trust domain is not used.
        #expect(self.settings { $0.identity = .commonName }.isEmpty)
    }

    @Test("Plaintext to the broker has a warning")
    func plaintextToBroker() {
        #expect(self.settings { $0.plaintextBrokers = ["192.0.2.1:5672"] } == ["messaging.transport_url"])
    }

    @Test("A secret that other users may know has a warning")
    func exposedSecretWarning() {
        var posture = Self.safe
        posture.exposedSecret = .init(
            setting: "messaging.transport_url", problem: "conductor.yaml has mode 0644", remedy: "run `chmod 0600`")
        #expect(
            posture.warnings.map(\.description) == [
                "Other users may know a secret in the settings file (messaging.transport_url): conductor.yaml has mode "
                    + "0644; run `chmod 0600`."
            ])
    }

    @Test("Each warning has its own setting and phrase, a risk and a remedy")
    func warningText() {
        let posture = SecurityPosture(
            signatures: .off, hasGuestRevocationList: false, authorization: GuestAuthorization(),
            plaintextBrokers: ["192.0.2.1:5672", "broker.example:5672"])
        let warnings = posture.warnings
        #expect(
            warnings.count == 5 && Set(warnings.map(\.setting)).count == 5 && Set(warnings.map(\.phrase)).count == 5)
        for warning in warnings {
            #expect(warning.description.contains("(\(warning.setting)): ") && warning.description.hasSuffix("."))
            #expect(!warning.risk.isEmpty && !warning.remedy.isEmpty && !warning.description.contains("\n"))
        }
        #expect(warnings.last?.description.contains("192.0.2.1:5672, broker.example:5672") == true)
        // The phrase is the same whatever the values are.
        #expect(warnings.allSatisfy { !$0.phrase.contains("192.0.2.1") })
    }
}
