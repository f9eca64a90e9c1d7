// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import NIOEmbedded
import Testing

@testable import CertificateIssuing
@testable import TLSChannel

/// The effect of changed trust roots on open connections, through two embedded channels.
@Suite("Removed trust roots", .timeLimit(.minutes(1)))
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

    @Test("Removing an authority closes the open connections of its peers, and no others")
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

    @Test("A guest closes its connection when its conductor's authority is removed")
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

    @Test("Connections stay open when their authority is renewed with its name and key")
    func sameKey() throws {
        let guest = try self.connect(self.guest)
        let again = try CertificateAuthority(
            certificatePEM: self.other.ownRenewal(validity: .days(1)), privateKeyPEM: self.other.privateKeyPEM)
        #expect(again.certificatePEM != self.other.certificatePEM)
        #expect(try self.replace([self.identities.authority, again], guest) == 0)
        #expect(guest.server.isActive && guest.serverLog.events.isEmpty)
        // It is no longer verified by the old certificate.
        #expect(try self.replace([self.identities.authority], guest) == 1)
        #expect(guest.serverLog.events == ["error untrusted", "inactive"])
    }

    @Test("An authority with the same name but another key does not keep connections open")
    func sameName() throws {
        let guest = try self.connect(self.guest)
        let namesake = try CertificateAuthority.root("other")
        #expect(try self.replace([self.identities.authority, namesake], guest) == 1)
        #expect(guest.serverLog.events == ["error untrusted", "inactive"])
    }

    @Test("A bundle that differs only in its order or comments closes no connection")
    func sameAuthorities() throws {
        let guest = try self.connect(self.guest)
        let bystander = try self.connect()
        #expect(
            try self.replace([self.other, self.identities.authority], comment: "# guests\n", guest, bystander) == 0)
        #expect(guest.server.isActive && bystander.server.isActive)
    }

    @Test("Without its issuing authority, only a guest that sent that certificate stays connected")
    func intermediates() throws {
        let issuing = try self.other.issueAuthority("issuing")
        let identity = try issuing.issueClient(commonName: "guest", validity: .days(1))
        try _ = self.replace([self.other, issuing])
        let sends = try self.connect(identity, with: issuing.certificatePEM)
        let sendsNothing = try self.connect(identity)
        // Each chain ends at the issuing authority itself.
        #expect(try self.replace([issuing], sends, sendsNothing) == 0)
        #expect(try self.replace([issuing, self.other], sends, sendsNothing) == 0)
        #expect(try self.replace([self.other], sends, sendsNothing) == 1)
        #expect(sends.server.isActive && sends.serverLog.events.isEmpty)
        #expect(sendsNothing.serverLog.events == ["error untrusted", "inactive"])
        // From now on its chain ends at the root, so the root's lists apply to it.
        let list = try self.other.revocationList(revoking: [issuing.certificatePEM], validity: .days(1))
        #expect(try self.replace([self.other], lists: [list], sends) == 1)
        #expect(sends.serverLog.events == ["error revoked", "inactive"])
    }

    @Test("A peer whose authority is removed during its handshake is rejected")
    func duringHandshake() throws {
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
        // The event loop schedules the check; the calendar decides whether the chain has expired.
        guest.serverTLS.calendar = { now + 601 }
        guest.server.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(guest.serverLog.events == ["error expired", "inactive"])
    }
}
