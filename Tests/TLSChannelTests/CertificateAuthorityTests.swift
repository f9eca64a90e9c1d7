// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import Testing

@testable import CertificateIssuing
@testable import TLSChannel

@Suite(.timeLimit(.minutes(1)))
struct CertificateAuthorityTests {
    let authority: CertificateAuthority

    init() throws {
        self.authority = try CertificateAuthority.create(commonName: "authority", validity: .days(1))
    }

    @Test("An authority can be read again from its certificate and key")
    func readAgain() throws {
        let again = try CertificateAuthority(
            certificatePEM: self.authority.certificatePEM, privateKeyPEM: self.authority.privateKeyPEM)
        #expect(again == self.authority)
    }

    @Test("A leaf certificate, or the key of another certificate, is rejected for an authority")
    func leafCertificate() throws {
        let leaf = try self.authority.issueClient(commonName: "leaf", validity: .days(1))
        let error = #expect(throws: TLSError.self) {
            try CertificateAuthority(certificatePEM: leaf.certificatePEM, privateKeyPEM: leaf.privateKeyPEM)
        }
        #expect(error?.code == .invalidConfiguration)
        let mixed = #expect(throws: TLSError.self) {
            try CertificateAuthority(
                certificatePEM: self.authority.certificatePEM, privateKeyPEM: leaf.privateKeyPEM)
        }
        #expect(mixed?.code == .keyMismatch)
    }

    @Test(
        "Text that is not a DNS name is rejected",
        arguments: ["a,DNS:evil", "a\nb", "", "a..b", "-a", "a b", "*", "a.*", "x\0y", "ä.test"])
    func invalidDNSName(name: String) {
        let error = #expect(throws: TLSError.self) {
            try self.authority.issueServer(commonName: "x", dnsNames: [name], validity: .days(1))
        }
        #expect(error?.code == .certificateNotIssued)
    }

    @Test(
        "Text that is not a URI is rejected",
        arguments: ["no-scheme", "a b:c", "conductor:x\n", "conductor:x\0y", ":x", "conductor:", "urn:ä"])
    func invalidURI(uri: String) {
        #expect(throws: TLSError.self) {
            try self.authority.issueClient(commonName: "x", uris: [uri], validity: .days(1))
        }
    }

    @Test(
        "A common name that is empty, too long, or has a line break is rejected",
        arguments: ["", "a\nb", String(repeating: "x", count: 65)])
    func invalidCommonName(name: String) {
        #expect(throws: TLSError.self) { try self.authority.issueClient(commonName: name, validity: .days(1)) }
    }

    @Test("A bad IP address, a server without names, and an inverted validity are rejected")
    func otherInvalidInput() {
        #expect(throws: TLSError.self) {
            try self.authority.issueServer(commonName: "x", ipAddresses: ["1.2.3"], validity: .days(1))
        }
        #expect(throws: TLSError.self) { try self.authority.issueServer(commonName: "x", validity: .days(1)) }
        #expect(throws: TLSError.self) {
            try self.authority.issueClient(
                commonName: "x", validity: CertificateValidity(notBefore: 10, notAfter: 9))
        }
    }

    @Test("A comma in a URI or a common name does not begin another name")
    func commaInURI() throws {
        let identities = try TestIdentities()
        let client = try identities.authority.issueClient(
            commonName: "x,CN=y", uris: ["conductor:a,URI:conductor:b"], validity: .days(1))
        let pair = try EnginePair(
            client: identities.clientConfiguration(identity: client), server: identities.serverConfiguration())
        try pair.handshake()
        #expect(pair.server.peerCertificate?.uris == ["conductor:a,URI:conductor:b"])
        #expect(pair.server.peerCertificate?.hasUnprintableURI == false)
        #expect(pair.server.peerCertificate?.commonName == "x,CN=y")
    }

    @Test("A name that contains a NUL is ignored")
    func nulInName() throws {
        // Other software signs such certificates; the text before the NUL must not count.
        let identities = try TestIdentities()
        let builder = try CertificateBuilder(commonName: "forger", validity: .days(1))
        let authority = try PEMDocument("authority", .pem(identities.authority.certificatePEM)).certificates()
        defer { PEMDocument.free(authority) }
        let key = try PEMDocument("key", .pem(identities.authority.privateKeyPEM)).privateKey()
        defer { EVP_PKEY_free(key) }
        try builder.setIssuer(authority[0])
        try builder.add(NID_ext_key_usage, "clientAuth,serverAuth")
        try builder.add([
            AlternativeName(type: GEN_URI, octets: Array("conductor:tenant/t1\0.evil".utf8)),
            AlternativeName(type: GEN_URI, octets: Array("conductor:mine".utf8)),
            AlternativeName(type: GEN_DNS, octets: Array("localhost\0.evil.test".utf8)),
        ])
        let forged = try builder.signed(by: key)
        let pair = try EnginePair(
            client: identities.clientConfiguration(identity: forged), server: identities.serverConfiguration())
        try pair.handshake()
        #expect(pair.serverError == nil)
        #expect(pair.server.peerCertificate?.uris == ["conductor:mine"])
        #expect(pair.server.peerCertificate?.hasUnprintableURI == true)
        #expect(pair.server.peerCertificate?.dnsNames.isEmpty == true)

        let server = try EnginePair(
            client: identities.clientConfiguration(), server: identities.serverConfiguration(identity: forged))
        try server.handshake()
        #expect(server.clientError?.code == .verificationFailed)
    }
}
