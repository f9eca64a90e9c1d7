// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing

@testable import TLSChannel

/// The ways in which a connection ends, through two embedded channels.
@Suite(.timeLimit(.minutes(2)))
struct TLSHandlerClosingTests {
    let identities: TestIdentities
    let pair: ChannelPair

    init() throws {
        self.identities = try TestIdentities()
        self.pair = try ChannelPair(self.identities)
    }

    private func outcome(of future: EventLoopFuture<Void>) -> Outcome {
        let outcome = Outcome()
        future.assumeIsolated().whenComplete { result in
            switch result {
            case .success: outcome.texts.append("success")
            case .failure(let error): outcome.texts.append((error as? TLSError)?.code.description ?? "\(error)")
            }
        }
        return outcome
    }

    private final class Outcome {
        var texts: [String] = []
    }

    @Test("A close delivers the data before it, and completes on both sides without an error")
    func closeNotify() throws {
        try self.pair.establish()
        self.pair.client.write(ByteBuffer(string: "last words"), promise: nil)
        let first = self.outcome(of: self.pair.client.close())
        let second = self.outcome(of: self.pair.client.close())
        #expect(self.pair.client.isActive)
        try self.pair.pump()
        #expect(!self.pair.client.isActive)
        #expect(!self.pair.server.isActive)
        #expect(first.texts == ["success"])
        #expect(second.texts == ["success"])
        #expect(self.pair.serverLog.events == ["read 10", "readComplete", "inactive"])
        #expect(self.pair.clientLog.events == ["inactive"])
    }

    @Test("Both sides can close at the same time")
    func simultaneousClose() throws {
        try self.pair.establish()
        let client = self.outcome(of: self.pair.client.close())
        let server = self.outcome(of: self.pair.server.close())
        try self.pair.pump()
        #expect(client.texts == ["success"])
        #expect(server.texts == ["success"])
        #expect(self.pair.clientLog.events == ["inactive"])
        #expect(self.pair.serverLog.events == ["inactive"])
    }

    @Test("Data in flight is delivered during a close")
    func dataInFlight() throws {
        try self.pair.establish()
        self.pair.server.writeAndFlush(ByteBuffer(string: "answer"), promise: nil)
        self.pair.client.close(promise: nil)
        try self.pair.pump()
        #expect(self.pair.clientLog.events == ["read 6", "readComplete", "inactive"])
    }

    @Test("A closing connection reads only a limited number of records from its peer")
    func smallRecordsWhileClosing() throws {
        try self.pair.establish()
        let sent = 2 * Int(TLSHandler.maximumClosingRecords)
        for _ in 0..<sent { self.pair.client.writeAndFlush(ByteBuffer(string: "x"), promise: nil) }
        let closed = self.outcome(of: self.pair.server.close())
        #expect(try ChannelPair.carry(self.pair.client, self.pair.server))
        #expect(closed.texts == ["success"])
        #expect(!self.pair.server.isActive)
        let read = self.pair.serverLog.events.compactMap { event in
            event.hasPrefix("read ") ? Int(event.dropFirst(5)) : nil
        }
        #expect(read.reduce(0, +) == Int(TLSHandler.maximumClosingRecords))
    }

    @Test("A silent peer delays a close until the timeout")
    func silentPeer() throws {
        try self.pair.establish()
        let closed = self.outcome(of: self.pair.client.close())
        self.pair.client.embeddedEventLoop.advanceTime(by: .milliseconds(4999))
        #expect(closed.texts.isEmpty)
        self.pair.client.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(closed.texts == ["success"])
        #expect(self.pair.clientLog.events == ["inactive"])
    }

    @Test("Writes after a close fail and are not sent")
    func writesAfterClose() throws {
        try self.pair.establish()
        self.pair.client.close(promise: nil)
        let write = self.outcome(of: self.pair.client.writeAndFlush(ByteBuffer(string: "x")))
        #expect(write.texts == ["closed"])
        try self.pair.pump()
        #expect(self.pair.serverLog.received.readableBytes == 0)
    }

    @Test("Half-closure is rejected")
    func halfClosure() throws {
        try self.pair.establish()
        let output = self.outcome(of: self.pair.client.close(mode: .output))
        #expect(output.texts == ["Operation unsupported"])
        #expect(self.pair.client.isActive)
    }

    @Test("A close during the handshake fails the queued writes")
    func closeDuringHandshake() throws {
        try self.pair.connect()
        try ChannelPair.carry(self.pair.client, self.pair.server)
        let write = self.outcome(of: self.pair.client.writeAndFlush(ByteBuffer(string: "x")))
        let close = self.outcome(of: self.pair.client.close())
        #expect(write.texts == ["closed"])
        #expect(close.texts == ["success"])
        #expect(self.pair.clientLog.events == ["active", "inactive"])
        ChannelPair.cut(self.pair.server)
        #expect(self.pair.serverLog.events == ["active", "error handshake_failed", "inactive"])
    }

    @Test("A handshake that is not complete at its deadline fails")
    func handshakeDeadline() throws {
        try self.pair.connect()
        let write = self.outcome(of: self.pair.client.writeAndFlush(ByteBuffer(string: "x")))
        self.pair.client.embeddedEventLoop.advanceTime(by: .seconds(10))
        #expect(write.texts == ["handshake_timed_out"])
        #expect(self.pair.clientLog.events == ["active", "error handshake_timed_out", "inactive"])
        #expect(!self.pair.client.isActive)
    }

    @Test("The handshake's deadline does not apply after the handshake")
    func noDeadlineAfterHandshake() throws {
        try self.pair.establish()
        self.pair.client.embeddedEventLoop.advanceTime(by: .hours(1))
        #expect(self.pair.client.isActive)
        #expect(self.pair.clientLog.events.isEmpty)
    }

    @Test("A connection that ends without close_notify fails as truncated")
    func truncation() throws {
        try self.pair.establish()
        let write = self.outcome(of: self.pair.server.write(ByteBuffer(string: "never flushed")))
        ChannelPair.cut(self.pair.server)
        #expect(self.pair.serverLog.events == ["error truncated", "inactive"])
        #expect(write.texts == ["truncated"])
    }

    @Test("An end of input without close_notify is a truncation too")
    func inputEnd() throws {
        try self.pair.establish()
        self.pair.server.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(self.pair.serverLog.events == ["error truncated", "inactive"])
        #expect(!self.pair.server.isActive)
    }

    @Test("A connection that ends during the handshake is a failed handshake")
    func truncationDuringHandshake() throws {
        try self.pair.connect()
        try ChannelPair.carry(self.pair.client, self.pair.server)
        ChannelPair.cut(self.pair.server)
        #expect(self.pair.serverLog.events == ["active", "error handshake_failed", "inactive"])
    }

    @Test("A rejected client receives the alert before the connection closes")
    func alertBeforeClose() throws {
        let other = try TestIdentities()
        let pair = try ChannelPair(
            self.identities, client: self.identities.clientConfiguration(identity: other.client))
        try pair.connect()
        try pair.pump()
        #expect(pair.serverLog.events == ["active", "error verification_failed", "inactive"])
        // With TLS 1.3 the client's handshake completes before the server has verified the client's certificate.
        #expect(
            pair.clientLog.events == ["active", "handshake conductor-rpc/1", "error refused_by_peer", "inactive"])
        #expect(pair.clientLog.errors.first?.message.contains("unknown CA") == true)
    }

    @Test("The socket closes only after the alert is written")
    func alertWritten() throws {
        let other = try TestIdentities()
        let pair = try ChannelPair(
            self.identities, client: self.identities.clientConfiguration(identity: other.client))
        let counter = OutboundCounter()
        try pair.server.pipeline.syncOperations.addHandler(counter, position: .first)
        try pair.connect()
        try ChannelPair.carry(pair.client, pair.server)
        try ChannelPair.carry(pair.server, pair.client)
        counter.isBlocked = true
        try ChannelPair.carry(pair.client, pair.server)
        #expect(pair.serverLog.errors.map(\.code) == [.verificationFailed])
        #expect(pair.server.isActive)
        let promise = try #require(counter.blocked.first)
        promise.succeed()
        #expect(!pair.server.isActive)
    }

    @Test("A connection that cannot write its alert closes after the timeout")
    func alertNotWritten() throws {
        let other = try TestIdentities()
        let pair = try ChannelPair(
            self.identities, client: self.identities.clientConfiguration(identity: other.client))
        let counter = OutboundCounter()
        try pair.server.pipeline.syncOperations.addHandler(counter, position: .first)
        try pair.connect()
        try ChannelPair.carry(pair.client, pair.server)
        try ChannelPair.carry(pair.server, pair.client)
        counter.isBlocked = true
        try ChannelPair.carry(pair.client, pair.server)
        pair.server.embeddedEventLoop.advanceTime(by: .seconds(5))
        #expect(!pair.server.isActive)
        for promise in counter.blocked { promise.fail(ChannelError.eof) }
    }

    @Test("An answer in a slow socket is not lost when the peer closes")
    func slowSocket() throws {
        let counter = OutboundCounter()
        try self.pair.server.pipeline.syncOperations.addHandler(counter, position: .first)
        try self.pair.establish()
        counter.isBlocked = true
        self.pair.server.writeAndFlush(ByteBuffer(string: "answer"), promise: nil)
        self.pair.client.close(promise: nil)
        try ChannelPair.carry(self.pair.client, self.pair.server)
        #expect(self.pair.server.isActive)
        for promise in counter.blocked { promise.succeed() }
        #expect(!self.pair.server.isActive)
        #expect(self.pair.serverLog.events == ["inactive"])
    }

    @Test("Closing the connection in errorCaught is harmless")
    func closeInErrorCaught() throws {
        let other = try TestIdentities()
        let pair = try ChannelPair(
            self.identities, client: self.identities.clientConfiguration(identity: other.client))
        for log in [pair.serverLog, pair.clientLog] {
            log.whenError = { context in
                context.writeAndFlush(NIOAny(ByteBuffer(string: "x")), promise: nil)
                context.close(promise: nil)
            }
        }
        try pair.connect()
        try pair.pump()
        #expect(pair.serverLog.events == ["active", "error verification_failed", "inactive"])
        #expect(pair.clientLog.errors.map(\.code) == [.refusedByPeer])
    }

    @Test("Closing the connection when a write fails is harmless")
    func closeInWriteFailure() throws {
        try self.pair.establish()
        let server = self.pair.server
        var results: [String] = []
        let promise = server.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenFailure { _ in
            results.append("failed")
            let again = self.outcome(of: server.writeAndFlush(ByteBuffer(string: "again")))
            results += again.texts
            server.close(promise: nil)
        }
        server.write(ByteBuffer(string: "x"), promise: promise)
        server.pipeline.fireChannelRead(ByteBuffer(string: "this is no TLS record at all"))
        #expect(results == ["failed", "closed"])
        #expect(self.pair.serverLog.events == ["error connection_failed", "inactive"])
    }

    @Test("Input that is not TLS fails with the error not_tls")
    func plainText() throws {
        try self.pair.connect()
        self.pair.server.pipeline.fireChannelRead(ByteBuffer(string: "GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
        #expect(self.pair.serverLog.events == ["active", "error not_tls", "inactive"])
        #expect(!self.pair.server.isActive)
    }

    @Test("A channel that never became active completes every promise when it closes")
    func neverActive() throws {
        let write = self.outcome(of: self.pair.client.writeAndFlush(ByteBuffer(string: "x")))
        let close = self.outcome(of: self.pair.client.close())
        #expect(write.texts == ["closed"])
        #expect(close.texts.count == 1)
    }
}
