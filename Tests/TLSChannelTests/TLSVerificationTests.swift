// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import CertificateIssuing
@testable import TLSChannel

/// The peers that are accepted or rejected, and the errors on both sides. Engine against engine.
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

    @Test("A server rejects a client of another authority, and the client receives the reason")
    func clientOfOtherAuthority() throws {
        let other = try TestIdentities()
        let result = try self.run(client: self.identities.clientConfiguration(identity: other.client))
        #expect(result.server?.code == .verificationFailed)
        #expect(result.server?.message.contains("authority is unknown") == true)
        #expect(result.server?.message.contains("CN=guest") == true)
        #expect(result.client?.code == .refusedByPeer)
        #expect(result.client?.message.contains("unknown CA") == true)
        #expect(result.pair.server.peerCertificate == nil)
    }

    @Test("A client rejects a server of another authority")
    func serverOfOtherAuthority() throws {
        let other = try TestIdentities()
        let result = try self.run(client: self.identities.clientConfiguration(trust: other.authority))
        #expect(result.client?.code == .verificationFailed)
        #expect(result.server?.code == .refusedByPeer)
    }

    @Test("Each side rejects an expired certificate of the other")
    func expiredCertificates() throws {
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

    @Test("A server certificate is rejected for a client, and a client certificate for a server")
    func wrongRole() throws {
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

    @Test(
        "A client accepts each name and address of the server's certificate",
        arguments: ["localhost", "LOCALHOST.", "a.relay.test", "127.0.0.1", "::1", "[::1]", "0:0:0:0:0:0:0:1"])
    func matchingNames(name: String) throws {
        let result = try self.run(name: name)
        #expect(result.client == nil)
        #expect(result.server == nil)
    }

    @Test(
        "A client rejects a server whose certificate has other names",
        arguments: ["relay.test", "a.b.relay.test", "conductor", "127.0.0.2", "::2", "localhost.evil.test"])
    func otherNames(name: String) throws {
        let result = try self.run(name: name)
        #expect(result.client?.code == .verificationFailed)
        #expect(result.client?.message.contains("mismatch") == true)
        #expect(result.server?.code == .refusedByPeer)
    }

    @Test(
        "A client without a usable server name is rejected",
        arguments: [nil, "", "a b", "good\0evil", "host,name", ".", "ünicode.test"])
    func unusableName(name: String?) throws {
        let context = try TLSContext(configuration: self.identities.clientConfiguration())
        let error = #expect(throws: TLSError.self) { try TLSEngine(context: context, serverName: name) }
        #expect(error?.code == .invalidConfiguration)
    }

    @Test("A handshake without a common application protocol fails")
    func noCommonProtocol() throws {
        var client = self.identities.clientConfiguration()
        client.applicationProtocols = ["h2", "http/1.1"]
        let result = try self.run(client: client)
        #expect(result.server?.code == .handshakeFailed)
        #expect(result.server?.message.contains("conductor-rpc/1") == true)
        #expect(result.client?.code == .refusedByPeer)
        #expect(result.client?.message.contains("application protocol") == true)
    }

    @Test("A client that offers no application protocol is accepted")
    func noOfferedProtocol() throws {
        var client = self.identities.clientConfiguration()
        client.applicationProtocols = []
        let result = try self.run(client: client)
        #expect(result.client == nil)
        #expect(result.server == nil)
        #expect(result.pair.server.negotiatedProtocol == nil)
    }

    @Test("The server's preference decides the application protocol")
    func serverPreference() throws {
        var client = self.identities.clientConfiguration()
        client.applicationProtocols = ["x", "conductor-rpc/1", "conductor-rpc/2"]
        var server = self.identities.serverConfiguration()
        server.applicationProtocols = ["conductor-rpc/2", "conductor-rpc/1"]
        let result = try self.run(client: client, server: server)
        #expect(result.pair.client.negotiatedProtocol == "conductor-rpc/2")
        #expect(result.pair.server.negotiatedProtocol == "conductor-rpc/2")
    }

    @Test("Two sides that both allow TLS 1.2 still negotiate TLS 1.3")
    func minimumTLS12() throws {
        var client = self.identities.clientConfiguration()
        var server = self.identities.serverConfiguration()
        client.minimumVersion = .tls12
        server.minimumVersion = .tls12
        let result = try self.run(client: client, server: server)
        #expect(result.client == nil)
        // Both support TLS 1.3, so they agree on it.
        #expect(result.pair.client.version == .tls13)
    }

    @Test("Input that is not TLS fails with an error that describes it")
    func plainText() throws {
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
