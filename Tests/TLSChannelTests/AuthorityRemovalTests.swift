// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import NIOEmbedded
import Testing

@testable import TLSChannel

/// What becomes of open connections when the trust roots change, through two embedded channels.
@Suite("An authority that is taken out of the trust roots", .timeLimit(.minutes(1)))
struct AuthorityRemovalTests {
    private let identities: TestIdentities
    private let other: CertificateAuthority
    private let guest: IssuedCertificate
    private let live: LiveTLSContext

    init() throws {
        self.identities = try TestIdentities()
        self.other = try CertificateAuthority.root("other")
        self.guest = try self.other.issueClient(commonName: "guest", validity: .days(1))
        self.live = LiveTLSContext(try Self.context(self.identities, [self.identities.authority, self.other]))
    }

    private static func context(
        _ identities: TestIdentities, _ roots: [CertificateAuthority], comment: String = "", lists: [String]? = nil
    ) throws -> TLSContext {
        var configuration = identities.serverConfiguration()
        configuration.trustRoots = .pem(comment + roots.map(\.certificatePEM).joined())
        configuration.revocationLists = lists.map { .pem($0.joined()) }
        return try TLSContext(configuration: configuration)
    }

    private func replace(
        _ roots: [CertificateAuthority], comment: String = "", lists: [String]? = nil, _ pairs: ChannelPair...
    ) throws -> Int {
        defer { for pair in pairs { pair.server.embeddedEventLoop.run() } }
        return self.live.replace(with: try Self.context(self.identities, roots, comment: comment, lists: lists))
    }

    private func connect(_ identity: IssuedCertificate? = nil, with chain: String = "") throws -> ChannelPair {
        var client = self.identities.clientConfiguration(identity: identity)
        if let identity { client.certificateChain = .pem(identity.certificatePEM + chain) }
        let pair = try ChannelPair(self.identities, client: client, live: self.live)
        try pair.establish()
        return pair
    }

    @Test("An authority that is removed from the bundle cuts its open connections, and no others")
    func removal() throws {
        let guest = try self.connect(self.guest)
        let bystander = try self.connect()
        #expect(try self.replace([self.identities.authority], guest, bystander) == 1)
        #expect(guest.serverLog.events == ["error untrusted", "inactive"])
        try guest.pump()
        #expect(guest.clientLog.events == ["inactive"] && guest.clientLog.errors.isEmpty)
        #expect(bystander.server.isActive && bystander.serverLog.events.isEmpty)
        #expect(self.live.status.openConnections == 1 && self.live.status.cutConnections == 1)
    }

    @Test("The same in a guest whose conductor's authority is removed")
    func conductorsAuthority() throws {
        func context(_ roots: [CertificateAuthority]) throws -> TLSContext {
            var configuration = self.identities.clientConfiguration()
            configuration.trustRoots = .pem(roots.map(\.certificatePEM).joined())
            return try TLSContext(configuration: configuration)
        }
        let live = LiveTLSContext(try context([self.identities.authority, self.other]))
        let client = EmbeddedChannel()
        let server = EmbeddedChannel()
        defer { for channel in [client, server] { ChannelPair.tearDown(channel) } }
        let tls = try TLSHandler(live: live, serverName: "localhost")
        let log = EventLog(tls)
        try client.pipeline.syncOperations.addHandlers([tls, log])
        try server.pipeline.syncOperations.addHandler(
            TLSHandler(context: TLSContext(configuration: self.identities.serverConfiguration()), serverName: nil))
        let address = try SocketAddress(unixDomainSocketPath: "/nowhere")
        server.connect(to: address, promise: nil)
        client.connect(to: address, promise: nil)
        var isMoving = true
        while isMoving {
            isMoving = try ChannelPair.carry(client, server)
            isMoving = try ChannelPair.carry(server, client) || isMoving
        }
        #expect(log.events.contains("handshake conductor-rpc/1"))
        log.events = []
        #expect(live.replace(with: try context([self.identities.authority])) == 0)
        client.embeddedEventLoop.run()
        #expect(log.events.isEmpty)
        #expect(live.replace(with: try context([self.other])) == 1)
        client.embeddedEventLoop.run()
        #expect(log.events == ["error untrusted", "inactive"])
    }

    @Test("Those who verify under the new bundle stay: the authority was issued again with its name and key")
    func sameKey() throws {
        let guest = try self.connect(self.guest)
        let again = try CertificateAuthority(
            certificatePEM: self.other.ownRenewal(validity: .days(1)), privateKeyPEM: self.other.privateKeyPEM)
        #expect(again.certificatePEM != self.other.certificatePEM)
        #expect(try self.replace([self.identities.authority, again], guest) == 0)
        #expect(guest.server.isActive && guest.serverLog.events.isEmpty)
        // Its old certificate is not what it is verified by any more.
        #expect(try self.replace([self.identities.authority], guest) == 1)
        #expect(guest.serverLog.events == ["error untrusted", "inactive"])
    }

    @Test("An authority of the same name with another key is another one")
    func sameName() throws {
        let guest = try self.connect(self.guest)
        let namesake = try CertificateAuthority.root("other")
        #expect(try self.replace([self.identities.authority, namesake], guest) == 1)
        #expect(guest.serverLog.events == ["error untrusted", "inactive"])
    }

    @Test("A bundle in which only the order or a comment is another cuts nobody")
    func sameAuthorities() throws {
        let guest = try self.connect(self.guest)
        let bystander = try self.connect()
        #expect(
            try self.replace([self.other, self.identities.authority], comment: "# guests\n", guest, bystander) == 0)
        #expect(guest.server.isActive && bystander.server.isActive)
    }

    @Test("Of an authority and its root either can be removed, as far as the guest has sent what is missing")
    func intermediates() throws {
        let issuing = try self.other.issueAuthority("issuing")
        let identity = try issuing.issueClient(commonName: "guest", validity: .days(1))
        try _ = self.replace([self.other, issuing])
        let sends = try self.connect(identity, with: issuing.certificatePEM)
        let sendsNothing = try self.connect(identity)
        // Each is in by the issuing authority itself.
        #expect(try self.replace([issuing], sends, sendsNothing) == 0)
        #expect(try self.replace([issuing, self.other], sends, sendsNothing) == 0)
        #expect(try self.replace([self.other], sends, sendsNothing) == 1)
        #expect(sends.server.isActive && sends.serverLog.events.isEmpty)
        #expect(sendsNothing.serverLog.events == ["error untrusted", "inactive"])
        // And goes by the other chain from now on: lists of the root hold for it.
        let list = try self.other.revocationList(revoking: [issuing.certificatePEM], validity: .days(1))
        #expect(try self.replace([self.other], lists: [list], sends) == 1)
        #expect(sends.serverLog.events == ["error revoked", "inactive"])
    }

    @Test("A peer whose authority is removed during its handshake is not let in")
    func duringTheHandshake() throws {
        let pair = try ChannelPair(
            self.identities, client: self.identities.clientConfiguration(identity: self.guest), live: self.live)
        try pair.connect()
        #expect(try self.replace([self.identities.authority], pair) == 0)
        try pair.pump()
        #expect(pair.serverLog.events == ["active", "error untrusted", "inactive"])
        #expect(self.live.status.openConnections == 0 && self.live.status.cutConnections == 1)
    }

    @Test("A connection expires with the chain that it has under the new bundle")
    func expiry() throws {
        let guest = try self.connect(self.guest)
        let now = Int64(Date().timeIntervalSince1970)
        let brief = try CertificateAuthority(
            certificatePEM: self.other.ownRenewal(validity: .init(notBefore: now - 10, notAfter: now + 600)),
            privateKeyPEM: self.other.privateKeyPEM)
        guest.serverTLS.calendar = { now }
        #expect(try self.replace([self.identities.authority, brief], guest) == 0)
        guest.server.embeddedEventLoop.advanceTime(by: .seconds(600))
        #expect(guest.server.isActive)
        // The look is the event loop's; whether it has expired is the calendar's.
        guest.serverTLS.calendar = { now + 601 }
        guest.server.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(guest.serverLog.events == ["error expired", "inactive"])
    }
}
