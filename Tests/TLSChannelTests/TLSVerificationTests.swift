// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import TLSChannel

/// Who is let in, who is not, and what each side is told about it. Engine against engine.
@Suite(.timeLimit(.minutes(2)))
struct TLSVerificationTests {
    let identities: TestIdentities

    init() throws {
        self.identities = try TestIdentities()
    }

    private func run(
        client: TLSConfiguration? = nil, server: TLSConfiguration? = nil, name: String = "localhost"
    ) throws -> (client: TLSError?, server: TLSError?, pair: EnginePair) {
        let pair = try EnginePair(
            client: client ?? self.identities.clientConfiguration(),
            server: server ?? self.identities.serverConfiguration(), serverName: name)
        try pair.handshake()
        return (pair.clientError, pair.serverError, pair)
    }

    @Test func serverRefusesAClientOfAnotherAuthority() throws {
        let other = try TestIdentities()
        let result = try self.run(client: self.identities.clientConfiguration(identity: other.client))
        #expect(result.server?.code == .verificationFailed)
        #expect(result.server?.message.contains("authority is unknown") == true)
        #expect(result.server?.message.contains("CN=guest") == true)
        #expect(result.client?.code == .refusedByPeer)
        #expect(result.client?.message.contains("unknown CA") == true)
        #expect(result.pair.server.peerCertificate == nil)
    }

    @Test func clientRefusesAServerOfAnotherAuthority() throws {
        let other = try TestIdentities()
        let result = try self.run(client: self.identities.clientConfiguration(trust: other.authority))
        #expect(result.client?.code == .verificationFailed)
        #expect(result.server?.code == .refusedByPeer)
    }

    @Test func expiredCertificatesAreRefusedOnBothSides() throws {
        let client = try self.identities.authority.issueClient(
            commonName: "old", validity: TestIdentities.yesterday)
        var result = try self.run(client: self.identities.clientConfiguration(identity: client))
        #expect(result.server?.code == .verificationFailed)
        #expect(result.server?.message.contains("expired") == true)
        #expect(result.client?.message.contains("expired") == true)

        let server = try self.identities.authority.issueServer(
            commonName: "old", dnsNames: ["localhost"], validity: TestIdentities.yesterday)
        result = try self.run(server: self.identities.serverConfiguration(identity: server))
        #expect(result.client?.code == .verificationFailed)
        #expect(result.client?.message.contains("expired") == true)
    }

    @Test func aServerCertificateIsNoClientCertificateAndTheOtherWayRound() throws {
        let server = try TLSContext(configuration: self.identities.serverConfiguration())
        let client = try TLSContext(configuration: self.identities.clientConfiguration())
        let guest = try EnginePair(
            client: TLSContext(configuration: self.identities.clientConfiguration()).showing(self.identities.server),
            server: server)
        try guest.handshake()
        #expect(guest.serverError?.code == .verificationFailed)
        #expect(guest.serverError?.message.contains("clientAuth") == true)
        let conductor = try EnginePair(
            client: client,
            server: TLSContext(configuration: self.identities.serverConfiguration()).showing(self.identities.client))
        try conductor.handshake()
        #expect(conductor.clientError?.code == .verificationFailed)
        #expect(conductor.clientError?.message.contains("serverAuth") == true)
    }

    @Test(arguments: ["localhost", "LOCALHOST.", "a.relay.test", "127.0.0.1", "::1", "[::1]", "0:0:0:0:0:0:0:1"])
    func namesOfTheCertificateMatch(name: String) throws {
        let result = try self.run(name: name)
        #expect(result.client == nil)
        #expect(result.server == nil)
    }

    @Test(arguments: ["relay.test", "a.b.relay.test", "conductor", "127.0.0.2", "::2", "localhost.evil.test"])
    func otherNamesDoNotMatch(name: String) throws {
        let result = try self.run(name: name)
        #expect(result.client?.code == .verificationFailed)
        #expect(result.client?.message.contains("mismatch") == true)
        #expect(result.server?.code == .refusedByPeer)
    }

    @Test(arguments: [nil, "", "a b", "good\0evil", "host,name", ".", "ünicode.test"])
    func aClientWithoutAUsableNameIsRefused(name: String?) throws {
        let context = try TLSContext(configuration: self.identities.clientConfiguration())
        let error = #expect(throws: TLSError.self) { try TLSEngine(context: context, serverName: name) }
        #expect(error?.code == .invalidConfiguration)
    }

    @Test func noCommonApplicationProtocolIsFatal() throws {
        var client = self.identities.clientConfiguration()
        client.applicationProtocols = ["h2", "http/1.1"]
        let result = try self.run(client: client)
        #expect(result.server?.code == .handshakeFailed)
        #expect(result.server?.message.contains("conductor-rpc/1") == true)
        #expect(result.client?.code == .refusedByPeer)
        #expect(result.client?.message.contains("application protocol") == true)
    }

    @Test func noOfferedApplicationProtocolIsAccepted() throws {
        var client = self.identities.clientConfiguration()
        client.applicationProtocols = []
        let result = try self.run(client: client)
        #expect(result.client == nil)
        #expect(result.server == nil)
        #expect(result.pair.server.negotiatedProtocol == nil)
    }

    @Test func theServersPreferenceDecides() throws {
        var client = self.identities.clientConfiguration()
        client.applicationProtocols = ["x", "conductor-rpc/1", "conductor-rpc/2"]
        var server = self.identities.serverConfiguration()
        server.applicationProtocols = ["conductor-rpc/2", "conductor-rpc/1"]
        let result = try self.run(client: client, server: server)
        #expect(result.pair.client.negotiatedProtocol == "conductor-rpc/2")
        #expect(result.pair.server.negotiatedProtocol == "conductor-rpc/2")
    }

    @Test func twelveIsAnOptionOnBothSides() throws {
        var client = self.identities.clientConfiguration()
        var server = self.identities.serverConfiguration()
        client.minimumVersion = .tls12
        server.minimumVersion = .tls12
        let result = try self.run(client: client, server: server)
        #expect(result.client == nil)
        // Both know better, so they agree on better.
        #expect(result.pair.client.version == .tls13)
    }

    @Test func aPlainTextPeerIsCalledThat() throws {
        for (text, word) in [("GET / HTTP/1.1\r\n\r\n", "HTTP"), ("{\"jsonrpc\":\"2.0\"}\n", "does not speak TLS")] {
            let context = try TLSContext(configuration: self.identities.serverConfiguration())
            let server = try TLSEngine(context: context, serverName: nil)
            try server.feed(ByteBuffer(string: text))
            guard case .failed(let error) = server.handshake() else { throw Unexpected() }
            #expect(error.code == .notTLS)
            #expect(error.message.contains(word))
        }
    }
}
