// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import TLSChannel
import Testing

/// The identity of a guest, read from its certificate.
@Suite struct GuestIdentityTests {
    private static let domain = TrustDomain("cloud.example") ?? .trial

    private func identity(
        _ uris: [String] = [], commonName: String? = nil, source: IdentitySource = .spiffe(Self.domain)
    ) throws(GuestIdentityError) -> GuestIdentity {
        try GuestIdentity(
            PeerCertificate(
                commonName: commonName, uris: uris, dnsNames: ["instance.example"], serialNumber: "01", notBefore: 0,
                notAfter: .max, sha256: ""), source: source)
    }

    @Test("A SPIFFE URI names the instance, and optionally the tenant")
    func spiffeURI() throws {
        let plain = try self.identity(["spiffe://cloud.example/instance/6A0541e4-80_7.e"])
        #expect(plain.instanceID == "6A0541e4-80_7.e" && plain.tenantID == nil)
        #expect("\(plain)" == "6A0541e4-80_7.e")
        let whole = try self.identity(["spiffe://cloud.example/tenant/t-1/instance/i-1"], commonName: "other")
        #expect(whole.instanceID == "i-1" && whole.tenantID == "t-1")
        #expect("\(whole)" == "t-1/i-1")
        // URIs of other schemes are ignored.
        let among = try self.identity([
            "https://cloud.example/instance/b", "spiffe://cloud.example/instance/i", "urn:uuid:1",
        ])
        #expect(among.instanceID == "i")
        let longest = String(repeating: "a", count: 255)
        #expect(try self.identity(["spiffe://cloud.example/instance/\(longest)"]).instanceID == longest)
    }

    /// Otherwise a guest that can add to its certificates would have any number of rate limits.
    @Test("Certificates with the same identity are one guest, whatever else they contain")
    func sameGuestOfCertificates() {
        func identity(_ path: String?, name: String, sha256: String, source: IdentitySource? = nil) -> PeerIdentity {
            GuestAuthorization(source: source ?? .spiffe(Self.domain)).identity(
                of: PeerCertificate(
                    commonName: name, uris: path.map { ["spiffe://cloud.example/\($0)", "urn:\(sha256)"] } ?? [],
                    dnsNames: [sha256], serialNumber: sha256, notBefore: 0, notAfter: .max, sha256: sha256))
        }
        let guest = identity("tenant/t/instance/i", name: "a", sha256: "1")
        #expect(guest == identity("tenant/t/instance/i", name: "b", sha256: "2"))
        let others = [
            guest, identity("tenant/u/instance/i", name: "a", sha256: "1"),
            identity("tenant/t/instance/j", name: "a", sha256: "1"), identity("instance/i", name: "a", sha256: "1"),
            // Where certificates name no guest, each certificate is a guest of its own.
            identity(nil, name: "a", sha256: "1"), identity(nil, name: "a", sha256: "2"),
        ]
        #expect(Set(others).count == others.count)
        #expect(
            identity("x", name: "a", sha256: "1", source: .commonName)
                == identity(nil, name: "a", sha256: "2", source: .commonName))
    }

    /// A certificate is read when its connection is accepted; each request then has the guest that was found.
    @Test("The identity of a connection is the guest that its certificate names")
    func connectionIdentity() throws {
        let paths = ["instance/i": (nil, "i"), "tenant/t/instance/j": ("t", "j")] as [String: (String?, String)]
        for (path, (tenantID, instanceID)) in paths {
            let certificate = PeerCertificate(
                commonName: "c", uris: ["spiffe://cloud.example/\(path)"], dnsNames: [], serialNumber: "1",
                notBefore: 0,
                notAfter: .max, sha256: "1")
            for source in [IdentitySource.spiffe(Self.domain), .commonName] {
                let authorization = GuestAuthorization(source: source)
                let identity = authorization.identity(of: certificate)
                let guest = try authorization.guest(
                    RPCPeer(certificate: certificate, identity: identity, remoteAddress: "", localAddress: ""))
                #expect(try guest == GuestIdentity(certificate, source: source))
                guard case .spiffe = source else { continue }
                #expect(guest.tenantID == tenantID && guest.instanceID == instanceID)
            }
        }
        #expect(GuestIdentity(PeerIdentity(nil)) == nil)
        // A guest that its certificate does not name is rejected at each request, with the reason.
        let stranger = PeerCertificate(
            commonName: "c", uris: [], dnsNames: [], serialNumber: "1", notBefore: 0, notAfter: .max, sha256: "1")
        let authorization = GuestAuthorization(source: .spiffe(Self.domain))
        let peer = RPCPeer(
            certificate: stranger, identity: authorization.identity(of: stranger), remoteAddress: "", localAddress: "")
        let error = #expect(throws: RPCError.self) { try authorization.guest(peer) }
        #expect(error?.code == .unauthenticated)
    }

    /// `identity.require_tenant`, for each form of a certificate and each source.
    @Test(
        "Where a tenant is required, a guest whose certificate names none is rejected",
        arguments: [
            (IdentitySource.spiffe(Self.domain), "tenant/t/instance/i", true),
            (.spiffe(Self.domain), "instance/i", false),
            (.commonName, "tenant/t/instance/i", false),
        ])
    func tenantRequired(source: IdentitySource, path: String, namesTenant: Bool) throws {
        let certificate = PeerCertificate(
            commonName: "i", uris: ["spiffe://cloud.example/\(path)"], dnsNames: [], serialNumber: "1", notBefore: 0,
            notAfter: .max, sha256: "1")
        for requiresTenant in [true, false] {
            let authorization = GuestAuthorization(source: source, requiresTenant: requiresTenant)
            let identity = authorization.identity(of: certificate)
            // With the identity that was read when the connection was accepted, and without one.
            for peer in [
                RPCPeer(certificate: certificate, identity: identity, remoteAddress: "", localAddress: ""),
                RPCPeer(certificate: certificate, remoteAddress: "", localAddress: ""),
            ] {
                #expect(authorization.namedGuest(peer)?.instanceID == "i")
                let result = Result { () throws(RPCError) in try authorization.guest(peer) }
                guard requiresTenant, !namesTenant else {
                    #expect(try result.get().tenantID == (namesTenant ? "t" : nil))
                    continue
                }
                let error = #expect(throws: RPCError.self) { try result.get() }
                // Retryable, so that no outcome is lost to a setting.
                #expect(error?.code == .unauthenticated && error?.code.isRetryable == true)
                #expect(error?.message.contains("no tenant") == true, "\(error?.message ?? "")")
                #expect(error?.message.contains("identity.require_tenant") == true)
            }
        }
    }

    private static let malformed = [
        "spiffe://cloud.example", "spiffe://cloud.example/", "spiffe://cloud.example/instance",
        "spiffe://cloud.example/instance/", "spiffe://cloud.example/instance/a/", "spiffe://cloud.example//instance/a",
        "spiffe://cloud.example/instance//a", "spiffe://cloud.example/instance/a/b",
        "spiffe://cloud.example/Instance/a", "spiffe://cloud.example/instances/a",
        "spiffe://cloud.example/x/instance/a",
        "spiffe://cloud.example/instance/.", "spiffe://cloud.example/instance/..",
        "spiffe://cloud.example/instance/../instance/a", "spiffe://cloud.example/./instance/a",
        "spiffe://cloud.example/instance/a?b", "spiffe://cloud.example/instance/a#b",
        "spiffe://cloud.example/instance/a%2Fb", "spiffe://cloud.example/instance/%61",
        "spiffe://cloud.example/instance/a b",
        "spiffe://cloud.example/instance/a:b", "spiffe://cloud.example/instance/ä",
        "spiffe://cloud.example/instance/a*",
        "spiffe://cloud.example/instance/\(String(repeating: "a", count: 256))",
        "spiffe://cloud.example/tenant/t", "spiffe://cloud.example/tenant/t/instance",
        "spiffe://cloud.example/tenant/t/",
        "spiffe://cloud.example/tenant//instance/a", "spiffe://cloud.example/tenant/t/instance/",
        "spiffe://cloud.example/tenant/../instance/a", "spiffe://cloud.example/tenant/t/instance/a/",
        "spiffe://cloud.example/tenant/t%2F/instance/a", "spiffe://cloud.example/instance/a/tenant/t",
        "spiffe://cloud.example/tenant/t/tenant/u/instance/a",
        "spiffe://user@cloud.example/instance/a", "spiffe://cloud.example:443/instance/a",
        "spiffe://cloud.example./instance/a", "spiffe://Cloud.example/instance/a",
        "spiffe://cloud.example.evil/instance/a",
        "spiffe://evil.cloud.example/instance/a", "spiffe://evil/cloud.example/instance/a", "spiffe:///instance/a",
        "SPIFFE://cloud.example/instance/a", "Spiffe://cloud.example/instance/a", "spiffe:/cloud.example/instance/a",
        "spiffe:cloud.example/instance/a", "spiffe://", "spiffe:", "spiffe",
        "spiffe://cloud.example/\(String(repeating: "instance/", count: 300))a",
    ]

    @Test("A malformed SPIFFE URI names no guest", arguments: Self.malformed)
    func malformedURI(uri: String) {
        let error = #expect(throws: GuestIdentityError.self) { try self.identity([uri], commonName: "a") }
        // The error has a reason for the issuer, without the URI's text.
        #expect(error?.description.contains("SPIFFE URI") == true)
        #expect(error?.description.contains("evil") == false)
    }

    @Test("A certificate with no SPIFFE URI, or with more than one, names no guest")
    func singleSPIFFEURI() {
        let good = "spiffe://cloud.example/instance/a"
        for other in [good, "spiffe://cloud.example/instance/b", "spiffe://other.example/x", "SPIFFE://x", "spiffe:"] {
            for uris in [[good, other], [other, good]] {
                let error = #expect(throws: GuestIdentityError.self) { try self.identity(uris) }
                #expect(error?.description == "The certificate has more than one SPIFFE URI.")
            }
        }
        #expect(throws: GuestIdentityError.self) { try self.identity([]) }
    }

    /// It is left out of the URIs that are read, but must not be ignored: next to the valid one it could be a second.
    @Test("A certificate with an unprintable URI has no SPIFFE identity")
    func unprintableURI() throws {
        for hasOne in [true, false] {
            let certificate = PeerCertificate(
                commonName: "a", uris: ["spiffe://cloud.example/instance/a"], hasUnprintableURI: hasOne, dnsNames: [],
                serialNumber: "01", notBefore: 0, notAfter: .max, sha256: "")
            let result = Result { () throws(GuestIdentityError) in
                try GuestIdentity(certificate, source: .spiffe(Self.domain))
            }
            #expect(((try? result.get()) == nil) == hasOne)
            #expect(try GuestIdentity(certificate, source: .commonName).instanceID == "a")
        }
    }

    @Test("The common name names the instance if the operator configures it as the source")
    func commonNameSource() throws {
        let other = ["spiffe://cloud.example/tenant/t/instance/b"]
        let guest = try self.identity(other, commonName: "i-1", source: .commonName)
        #expect(guest.instanceID == "i-1" && guest.tenantID == nil)
        for name in [nil, "", ".", "..", "a b", "a/b", "a,CN=b", "tenant/t/instance/a", "ä", "a\n", "*"] {
            #expect(throws: GuestIdentityError.self) {
                try self.identity(other, commonName: name, source: .commonName)
            }
        }
    }

    @Test("The name of a trust domain is accepted only in its canonical form")
    func trustDomainName() {
        for name in ["cloud.example", "a", "a_b-c.1", String(repeating: "d", count: 255)] {
            #expect(TrustDomain(name)?.name == name)
        }
        for name in [
            "", "Cloud.example", "a/b", "a:1", "u@a", "spiffe://a", "a b", "ä", String(repeating: "d", count: 256),
        ] {
            #expect(TrustDomain(name) == nil, "\(name)")
        }
    }
}
