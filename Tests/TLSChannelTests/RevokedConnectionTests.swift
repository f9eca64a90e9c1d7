// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import NIOEmbedded
import Testing

@testable import CertificateIssuing
@testable import TLSChannel

/// The end of an open connection whose peer is revoked, through two embedded channels.
@Suite(.timeLimit(.minutes(1)))
struct RevokedConnectionTests {
    let identities: TestIdentities
    let live: LiveTLSContext
    let pair: ChannelPair

    init() throws {
        self.identities = try TestIdentities()
        self.live = LiveTLSContext(try Self.context(self.identities))
        self.pair = try ChannelPair(self.identities, live: self.live)
    }

    private static func context(
        _ identities: TestIdentities, revoking revoked: [IssuedCertificate] = []
    ) throws -> TLSContext {
        var configuration = identities.serverConfiguration()
        configuration.revocationLists = .pem(
            try identities.authority.revocationList(
                revoking: revoked.map(\.certificatePEM), validity: .days(1)))
        return try TLSContext(configuration: configuration)
    }

    private func revoke(_ certificate: IssuedCertificate) throws -> Int {
        defer { self.pair.server.embeddedEventLoop.run() }
        return self.live.replace(with: try Self.context(self.identities, revoking: [certificate]))
    }

    @Test("The connection of a revoked peer is closed with close_notify")
    func revokedPeer() throws {
        try self.pair.establish()
        #expect(self.live.status.openConnections == 1)
        #expect(try self.revoke(self.identities.client) == 1)
        #expect(self.pair.serverLog.events == ["error revoked", "inactive"])
        // The close does not wait for the peer's answer.
        #expect(!self.pair.server.isActive)
        try self.pair.pump()
        #expect(self.pair.clientLog.events == ["inactive"] && self.pair.clientLog.errors.isEmpty)
        #expect(self.live.status.openConnections == 0 && self.live.status.cutConnections == 1)
    }

    /// The event loop schedules the check; the calendar decides whether the certificate has expired.
    @Test("The connection of a peer whose certificate expires is closed")
    func expiredPeer() throws {
        let now = Int64(Date().timeIntervalSince1970)
        let brief = try self.identities.authority.issueClient(
            commonName: "brief", uris: [], validity: .init(notBefore: now - 1, notAfter: now + 600))
        let pair = try ChannelPair(
            self.identities, client: self.identities.clientConfiguration(identity: brief), live: self.live)
        pair.serverTLS.calendar = { now }
        try pair.establish()
        pair.server.embeddedEventLoop.advanceTime(by: .seconds(600))
        #expect(pair.serverLog.events.isEmpty)
        pair.serverTLS.calendar = { now + 601 }
        pair.server.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(pair.serverLog.events == ["error expired", "inactive"])
        #expect(self.live.status.openConnections == 0)
        // A certificate that is valid for the rest of the day keeps its connection open.
        try self.pair.establish()
        self.pair.server.embeddedEventLoop.advanceTime(by: .hours(2))
        #expect(self.pair.server.isActive)
    }

    @Test("The connection of another peer stays open")
    func otherPeer() throws {
        try self.pair.establish()
        #expect(try self.revoke(self.identities.server) == 0)
        #expect(self.pair.server.isActive && self.pair.serverLog.events.isEmpty)
        #expect(self.live.status.openConnections == 1)
    }

    @Test("A revoked peer that reads nothing is disconnected, and its input is ignored")
    func peerThatDoesNotRead() throws {
        let socket = OutboundCounter()
        try self.pair.server.pipeline.syncOperations.addHandler(socket, position: .first)
        try self.pair.establish()
        socket.isBlocked = true
        self.pair.client.writeAndFlush(ByteBuffer(string: "one more"), promise: nil)
        #expect(try self.revoke(self.identities.client) == 1)
        try self.pair.pump()
        #expect(self.pair.serverLog.received.readableBytes == 0)
        #expect(self.pair.server.isActive)
        self.pair.server.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!self.pair.server.isActive)
        for promise in socket.blocked { promise.succeed() }
    }

    @Test("A peer that is revoked during its handshake is rejected")
    func revokedDuringHandshake() throws {
        try self.pair.connect()
        // The server has begun under lists that do not name the client.
        #expect(try self.revoke(self.identities.client) == 0)
        try self.pair.pump()
        #expect(self.pair.serverLog.events == ["active", "error revoked", "inactive"])
        #expect(self.live.status.openConnections == 0 && self.live.status.cutConnections == 1)
    }

    @Test("A connection that has ended is no longer registered")
    func endedConnection() throws {
        try self.pair.establish()
        ChannelPair.cut(self.pair.server)
        #expect(self.live.status.openConnections == 0)
        #expect(try self.revoke(self.identities.client) == 0)
    }
}
