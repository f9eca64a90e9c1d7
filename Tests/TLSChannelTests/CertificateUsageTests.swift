// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import Testing

@testable import CertificateIssuing
@testable import TLSChannel

/// Certificates of the right authority that are not issued for a guest, or a conductor.
@Suite("Certificate key usage", .timeLimit(.minutes(1)))
struct CertificateUsageTests {
    private let identities: TestIdentities

    init() throws {
        self.identities = try TestIdentities()
    }

    /// Extensions that a leaf must not have, each with a phrase of its error message.
    enum Leaf: String, CaseIterable, Sendable {
        case noExtendedKeyUsage, anyPurpose, otherPurpose, codeSigning, authority, authorityThatMaySignNothing, signer

        func extensions(_ role: TLSRole) -> [(Int32, StaticString)] {
            let purpose: StaticString = role == .client ? "clientAuth" : "serverAuth"
            let right = (NID_ext_key_usage, purpose)
            let leaf = (NID_basic_constraints, "critical,CA:FALSE" as StaticString)
            switch self {
            case .noExtendedKeyUsage: return [leaf, (NID_key_usage, "critical,digitalSignature")]
            case .anyPurpose: return [leaf, (NID_ext_key_usage, "anyExtendedKeyUsage")]
            case .otherPurpose: return [leaf, (NID_ext_key_usage, role == .client ? "serverAuth" : "clientAuth")]
            case .codeSigning: return [leaf, (NID_ext_key_usage, "codeSigning")]
            case .authority:
                return [
                    (NID_basic_constraints, "critical,CA:TRUE"), right,
                    (NID_key_usage, "critical,digitalSignature,keyCertSign"),
                ]
            case .authorityThatMaySignNothing:
                return [
                    (NID_basic_constraints, "critical,CA:TRUE"), right, (NID_key_usage, "critical,digitalSignature"),
                ]
            case .signer: return [right, (NID_key_usage, "critical,digitalSignature,keyCertSign")]
            }
        }

        var word: String {
            switch self {
            case .noExtendedKeyUsage: "it has no extended key usage"
            case .anyPurpose, .otherPurpose, .codeSigning: "it is not issued for this role"
            case .authority, .authorityThatMaySignNothing, .signer: "it is an authority's certificate"
            }
        }
    }

    private func leaf(_ leaf: Leaf, _ role: TLSRole) throws -> IssuedCertificate {
        try self.identities.authority.issue(leaf.extensions(role), names: [.dns("localhost")])
    }

    private func handshake(client: IssuedCertificate? = nil, server: IssuedCertificate? = nil) throws -> EnginePair {
        let clientContext = try TLSContext(configuration: self.identities.clientConfiguration())
        let serverContext = try TLSContext(configuration: self.identities.serverConfiguration())
        let pair = try EnginePair(
            client: client.map(clientContext.showing) ?? clientContext,
            server: server.map(serverContext.showing) ?? serverContext)
        try pair.handshake()
        return pair
    }

    @Test("A certificate that is not issued for a guest is rejected", arguments: Leaf.allCases)
    func guest(_ leaf: Leaf) throws {
        let pair = try self.handshake(client: self.leaf(leaf, .client))
        #expect(pair.serverError?.code == .verificationFailed)
        // OpenSSL itself rejects another purpose.
        if ![.otherPurpose, .codeSigning, .anyPurpose].contains(leaf) {
            #expect(pair.serverError?.message.contains(leaf.word) == true, "\(pair.serverError.debugDescription)")
        }
        #expect(pair.serverError?.message.contains("clientAuth") == true, "\(pair.serverError.debugDescription)")
        #expect(pair.serverError?.message.contains("CN=peer") == true)
        #expect(pair.clientError?.code == .refusedByPeer)
        #expect(pair.clientError?.message.contains("unsupported certificate") == true)
        #expect(pair.server.peerCertificate == nil)
    }

    @Test("A certificate that is not issued for a conductor is rejected", arguments: Leaf.allCases)
    func conductor(_ leaf: Leaf) throws {
        let pair = try self.handshake(server: self.leaf(leaf, .server))
        #expect(pair.clientError?.code == .verificationFailed)
        #expect(pair.clientError?.message.contains("serverAuth") == true, "\(pair.clientError.debugDescription)")
        #expect(pair.serverError?.code == .refusedByPeer)
    }

    @Test("A certificate with the required purpose is accepted, whatever else it allows")
    func otherPurposes() throws {
        let values: [StaticString] = ["clientAuth,serverAuth", "clientAuth,serverAuth,anyExtendedKeyUsage"]
        for value in values {
            let both = try self.identities.authority.issue(
                [(NID_basic_constraints, "critical,CA:FALSE"), (NID_ext_key_usage, value)], names: [.dns("localhost")])
            let pair = try EnginePair(
                client: self.identities.clientConfiguration(identity: both),
                server: self.identities.serverConfiguration(identity: both))
            try pair.handshake()
            #expect(pair.clientError == nil && pair.serverError == nil)
        }
    }

    @Test("An own certificate that peers would reject is rejected when it is loaded", arguments: Leaf.allCases)
    func own(_ leaf: Leaf) throws {
        for role in [TLSRole.client, .server] {
            let identity = try self.leaf(leaf, role)
            let configuration =
                role == .client
                ? self.identities.clientConfiguration(identity: identity)
                : self.identities.serverConfiguration(identity: identity)
            let error = #expect(throws: TLSError.self) { try TLSContext(configuration: configuration) }
            #expect(error?.code == .invalidConfiguration)
            #expect(error?.message.contains("peers reject this side's own certificate") == true)
            #expect(error?.message.contains(leaf.word) == true, "\(error.debugDescription)")
            #expect(error?.message.contains(role == .client ? "clientAuth" : "serverAuth") == true)
        }
    }

    @Test("An own certificate whose key usage allows no signature is rejected when it is loaded")
    func keyUsage() throws {
        let identity = try self.identities.authority.issue(
            [(NID_ext_key_usage, "clientAuth"), (NID_key_usage, "critical,keyEncipherment")])
        let error = #expect(throws: TLSError.self) {
            try TLSContext(configuration: self.identities.clientConfiguration(identity: identity))
        }
        #expect(error?.message.contains("digitalSignature") == true, "\(error.debugDescription)")
    }
}
