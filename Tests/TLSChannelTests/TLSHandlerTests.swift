// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import NIOCore
import NIOEmbedded
import Testing

@testable import TLSChannel

/// Handshake and data through two embedded channels.
@Suite(.timeLimit(.minutes(2)))
struct TLSHandlerTests {
    let pair: ChannelPair

    init() throws {
        self.pair = try ChannelPair(TestIdentities())
    }

    @Test("The handshake event fires once, when the peer's certificate is known")
    func handshakeEvent() throws {
        try self.pair.connect()
        try self.pair.pump()
        #expect(self.pair.serverLog.events == ["active", "handshake conductor-rpc/1"])
        #expect(self.pair.clientLog.events == ["active", "handshake conductor-rpc/1"])
        #expect(self.pair.serverLog.peerAtHandshake?.commonName == "guest")
        #expect(self.pair.clientLog.peerAtHandshake?.commonName == "conductor")
        #expect(self.pair.serverTLS.negotiatedVersion == .tls13)
    }

    @Test("A handler that is added to an active channel starts the handshake at once")
    func activeChannel() throws {
        let identities = try TestIdentities()
        let channel = EmbeddedChannel()
        channel.connect(to: try SocketAddress(unixDomainSocketPath: "/nowhere"), promise: nil)
        let handler = try TLSHandler(
            context: TLSContext(configuration: identities.clientConfiguration()), serverName: "localhost")
        try channel.pipeline.syncOperations.addHandler(handler)
        #expect(try channel.readOutbound(as: ByteBuffer.self) != nil)
        ChannelPair.tearDown(channel)
        #expect(!channel.isActive)
    }

    @Test("Promises complete in order, including those of empty writes")
    func promiseOrder() throws {
        try self.pair.establish()
        var order: [Int] = []
        let sizes = [10, 0, 20_000, 0, 3, 0]
        for (index, size) in sizes.enumerated() {
            let promise = self.pair.client.eventLoop.makePromise(of: Void.self)
            promise.futureResult.assumeIsolated().whenSuccess { order.append(index) }
            self.pair.client.write(ByteBuffer(repeating: 1, count: size), promise: promise)
        }
        #expect(order.isEmpty)
        self.pair.client.flush()
        #expect(order == [0, 1, 2, 3, 4, 5])
        try self.pair.pump()
        #expect(self.pair.serverLog.received.readableBytes == 20_013)
        #expect(self.pair.serverLog.events == ["read 20013", "readComplete"])
    }

    @Test("An empty write that is flushed alone completes after the writes before it")
    func emptyWrite() throws {
        let counter = OutboundCounter()
        try self.pair.client.pipeline.syncOperations.addHandler(counter, position: .first)
        try self.pair.establish()
        counter.isBlocked = true
        var order: [String] = []
        for text in ["x", ""] {
            let promise = self.pair.client.eventLoop.makePromise(of: Void.self)
            promise.futureResult.assumeIsolated().whenSuccess { order.append(text) }
            self.pair.client.writeAndFlush(ByteBuffer(string: text), promise: promise)
        }
        #expect(order.isEmpty)
        for promise in counter.blocked { promise.succeed() }
        #expect(order == ["x", ""])
    }

    @Test("One flush makes one write of full records")
    func oneFlush() throws {
        let counter = OutboundCounter()
        try self.pair.client.pipeline.syncOperations.addHandler(counter, position: .first)
        try self.pair.establish()
        counter.writes = []
        counter.flushes = 0
        for index in 0..<200 {
            self.pair.client.write(ByteBuffer(repeating: UInt8(index), count: 300), promise: nil)
        }
        #expect(counter.writes.isEmpty)
        self.pair.client.flush()
        #expect(counter.writes.count == 1)
        #expect(counter.flushes == 1)
        #expect(recordLengths(counter.writes[0]).count == 4)
        // A flush with nothing to flush has no effect.
        self.pair.client.flush()
        #expect(counter.writes.count == 1)
        try self.pair.pump()
        #expect(self.pair.serverLog.received.readableBytes == 60_000)
    }

    @Test("Megabytes arrive in both directions at the same time")
    func megabytesBothWays() throws {
        try self.pair.establish()
        let bytes = ByteBuffer(bytes: (0..<3_000_000).lazy.map { UInt8(truncatingIfNeeded: $0 &* 7) })
        self.pair.client.writeAndFlush(bytes, promise: nil)
        self.pair.server.writeAndFlush(bytes, promise: nil)
        try self.pair.pump()
        #expect(self.pair.serverLog.received == bytes)
        #expect(self.pair.clientLog.received == bytes)
    }

    @Test("Writes before the handshake wait for it")
    func earlyWrites() throws {
        let client = self.pair.client
        var done = false
        let promise = client.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenSuccess { done = true }
        client.write(ByteBuffer(string: "early "), promise: promise)
        client.flush()
        // A flush from channelActive once made a handler spin.
        self.pair.clientLog.whenActive = { context in
            context.writeAndFlush(NIOAny(ByteBuffer(string: "bird")), promise: nil)
        }
        try self.pair.connect()
        #expect(!done)
        try self.pair.pump()
        #expect(done)
        #expect(String(buffer: self.pair.serverLog.received) == "early bird")
    }

    @Test("Too many bytes written before the handshake fail the connection")
    func earlyWriteLimit() throws {
        let client = self.pair.client
        try self.pair.connect()
        var outcomes: [String] = []
        for size in [TLSHandler.maximumEarlyBytes, 1] {
            let promise = client.eventLoop.makePromise(of: Void.self)
            promise.futureResult.assumeIsolated().whenComplete { result in
                outcomes.append("\(size) \((try? result.get()) == nil)")
            }
            client.write(ByteBuffer(repeating: 0, count: size), promise: promise)
        }
        #expect(outcomes == ["\(TLSHandler.maximumEarlyBytes) true", "1 true"])
        #expect(self.pair.clientLog.errors.map(\.code) == [.writeQueueFull])
        #expect(!client.isActive)
    }

    @Test("Without autoRead the handshake completes, and data is read only on request")
    func autoReadOff() throws {
        let counter = OutboundCounter()
        let server = self.pair.server
        try server.pipeline.syncOperations.addHandler(counter, position: .first)
        try server.syncOptions?.setOption(.autoRead, value: false)
        try self.pair.connect()
        #expect(counter.reads > 0)
        try self.pair.pump()
        #expect(self.pair.serverLog.events.last == "handshake conductor-rpc/1")

        // No read is requested: half a record causes no read.
        counter.reads = 0
        self.pair.client.writeAndFlush(ByteBuffer(repeating: 1, count: 1000), promise: nil)
        var ciphertext = try #require(try self.pair.client.readOutbound(as: ByteBuffer.self))
        let total = ciphertext.readableBytes
        func feed(_ count: Int) {
            guard let piece = ciphertext.readSlice(length: count) else { return }
            server.pipeline.fireChannelRead(piece)
            server.pipeline.fireChannelReadComplete()
        }
        feed(100)
        #expect(counter.reads == 0)
        // A read is requested, and half a record arrives: the handler reads until there is plaintext.
        server.read()
        #expect(counter.reads == 1)
        feed(100)
        #expect(counter.reads == 2)
        feed(total - 200)
        #expect(counter.reads == 2)
        #expect(self.pair.serverLog.events.suffix(2) == ["read 1000", "readComplete"])
    }

    @Test("A stale OpenSSL error of the thread does not break healthy connections")
    func staleError() throws {
        func pollute() { #expect(BIO_new_file("/nonexistent/file.pem", "r") == nil) }
        pollute()
        try self.pair.establish()
        pollute()
        self.pair.client.writeAndFlush(ByteBuffer(string: "hello"), promise: nil)
        pollute()
        try self.pair.pump()
        pollute()
        #expect(self.pair.serverLog.events == ["read 5", "readComplete"])
        pollute()
        self.pair.client.close(promise: nil)
        pollute()
        try self.pair.pump()
        #expect(self.pair.serverLog.errors.isEmpty)
        #expect(self.pair.clientLog.errors.isEmpty)
    }
}
