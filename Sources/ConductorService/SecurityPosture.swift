// SPDX-License-Identifier: Apache-2.0

/// The settings that decide how far a conductor trusts its guests and its networks.
package struct SecurityPosture: Sendable, Hashable {
    /// The policy for signed contexts.
    package var signatures: ContextVerifier.Policy
    /// Whether guests' certificates are checked against revocation lists.
    package var hasGuestRevocationList: Bool
    /// The part of a certificate that names the instance.
    package var identity: IdentitySource
    /// Whether a certificate must name its tenant.
    package var requiresTenant: Bool
    /// The brokers on other machines to which everything is sent in the clear, `host:port` each.
    package var plaintextBrokers: [String]
    /// A secret in the settings file that other users may know.
    package var exposedSecret: ExposedSecret?

    /// A secret in a file that other users may read or write.
    package struct ExposedSecret: Sendable, Hashable {
        /// The setting whose value is the secret.
        package let setting: String
        /// The file, and the users that may read or write it, as a clause.
        package let problem: String
        /// The remedy, as a clause.
        package let remedy: String

        /// Creates the secret of this setting.
        package init(setting: String, problem: String, remedy: String) {
            self.setting = setting
            self.problem = problem
            self.remedy = remedy
        }
    }

    /// Creates a posture with these values.
    package init(
        signatures: ContextVerifier.Policy, hasGuestRevocationList: Bool, authorization: GuestAuthorization,
        plaintextBrokers: [String], exposedSecret: ExposedSecret? = nil
    ) {
        self.signatures = signatures
        self.hasGuestRevocationList = hasGuestRevocationList
        self.identity = authorization.source
        self.requiresTenant = authorization.requiresTenant
        self.plaintextBrokers = plaintextBrokers
        self.exposedSecret = exposedSecret
    }

    /// The settings that are allowed but not safe, in the order of the manual; empty if there are none.
    package var warnings: [SecurityWarning] {
        var warnings: [SecurityWarning] = []
        if self.signatures == .off { warnings.append(.signaturesOff) }
        if !self.hasGuestRevocationList { warnings.append(.noGuestRevocationList) }
        // A signature names the tenant as well as a certificate does.
        if !self.requiresTenant, self.signatures != .require { warnings.append(.tenantNotRequired) }
        if self.identity == .spiffe(.trial) { warnings.append(.trialTrustDomain) }
        if !self.plaintextBrokers.isEmpty { warnings.append(.plaintextBroker(self.plaintextBrokers)) }
        if let exposedSecret { warnings.append(.exposed(exposedSecret)) }
        return warnings
    }
}

/// A warning about a setting that is allowed but not safe.
package struct SecurityWarning: Sendable, Hashable, CustomStringConvertible {
    /// The fixed text for the log, the same for each warning of a kind.
    package let phrase: String
    /// The setting.
    package let setting: String
    /// The risk, as a clause.
    package let risk: String
    /// The remedy, as a clause.
    package let remedy: String

    /// The warning in one sentence.
    package var description: String { "\(self.phrase) (\(self.setting)): \(self.risk); \(self.remedy)." }

    fileprivate static let signaturesOff = SecurityWarning(
        phrase: "Contexts are not checked for signatures", setting: "context_signatures.mode",
        risk: "a guest can report operations that the control plane never asked for",
        remedy: "have the control plane sign contexts, and set it to accept, then to require")

    fileprivate static let noGuestRevocationList = SecurityWarning(
        phrase: "Guests' certificates are not checked against a revocation list", setting: "tls.guest_crl",
        risk: "a compromised guest is served until its certificate expires",
        remedy: "set it to the file of the authority's list")

    fileprivate static let tenantNotRequired = SecurityWarning(
        phrase: "Certificates without a tenant are accepted", setting: "identity.require_tenant",
        risk: "a guest with such a certificate can name any tenant",
        remedy: "issue spiffe://TRUST-DOMAIN/tenant/TENANT/instance/ID, and set it to true")

    fileprivate static let trialTrustDomain = SecurityWarning(
        phrase: "The trust domain is the default one of trial certificates", setting: "identity.trust_domain",
        risk: "\(TrustDomain.trial) is in every trial certificate",
        remedy: "set it to your own name, and issue certificates with it")

    fileprivate static func exposed(_ secret: SecurityPosture.ExposedSecret) -> SecurityWarning {
        SecurityWarning(
            phrase: "Other users may know a secret in the settings file", setting: secret.setting,
            risk: secret.problem, remedy: secret.remedy)
    }

    fileprivate static func plaintextBroker(_ hosts: [String]) -> SecurityWarning {
        SecurityWarning(
            phrase: "The broker is reached without TLS", setting: "messaging.transport_url",
            risk:
                "the password and every notification cross the network to \(hosts.joined(separator: ", ")) in the clear",
            remedy: "use ssl=1 and ssl_ca_file")
    }
}
