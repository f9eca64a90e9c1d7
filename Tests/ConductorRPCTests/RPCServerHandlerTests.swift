// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import NIOExtras
import Notifications
import Testing

@testable import ConductorRPC

@Suite struct RPCServerHandlerTests {
    private let requests = HeldRequests()

    private func channel(window: Int = 3, windowBytes: Int = .max, maximumLineLength: Int = 200) throws
        -> EmbeddedChannel
    {
        var configuration = RPCServerHandler.Configuration()
        configuration.window = window
        configuration.windowBytes = windowBytes
        configuration.maximumLineLength = maximumLineLength
        configuration.drainTimeout = .seconds(5)
        let handler = RPCServerHandler(
            configuration: configuration, requestHandler: self.requests, logger: Logger(label: "test"))
        let channel = EmbeddedChannel(handler: handler)
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1)).wait()
        return channel
    }

    private func ping(_ id: Int) -> ByteBuffer {
        ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(id),"method":"ping"}"# + "\n")
    }

    private func answers(_ channel: EmbeddedChannel) throws -> [String] {
        channel.embeddedEventLoop.run()
        var lines: [String] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) {
            lines += String(buffer: buffer).split(separator: "\n").map(String.init)
        }
        return lines
    }

    @Test("Requests that arrive in one pass of the event loop are flushed once")
    func requestFlush() throws {
        let channel = try self.channel(window: 10)
        for id in 1...2 { try channel.writeInbound(self.ping(id)) }
        // The event loop has not finished this pass.
        #expect(self.requests.flushes.withLockedValue { $0 } == [])
        channel.embeddedEventLoop.run()
        #expect(self.requests.flushes.withLockedValue { $0 } == [2])
        try channel.writeInbound(self.ping(3))
        channel.embeddedEventLoop.run()
        #expect(self.requests.flushes.withLockedValue { $0 } == [2, 3])
        channel.embeddedEventLoop.run()
        #expect(self.requests.flushes.withLockedValue { $0.count } == 2)
        _ = try channel.finish()
    }

    @Test("Answers that are ready together are sent in one write")
    func batchedAnswers() throws {
        let channel = try self.channel()
        for id in 1...3 { try channel.writeInbound(self.ping(id)) }
        for _ in 1...3 { self.requests.answerFirst() }
        channel.embeddedEventLoop.run()
        let written = try #require(try channel.readOutbound(as: ByteBuffer.self))
        #expect(String(buffer: written).split(separator: "\n").count == 3)
        #expect(try channel.readOutbound(as: ByteBuffer.self) == nil)
        _ = try channel.finish()
    }

    @Test("The window limits the number of requests in flight")
    func requestWindow() throws {
        let channel = try self.channel(window: 2)
        var burst = ByteBuffer()
        for id in 1...5 { burst.writeImmutableBuffer(self.ping(id)) }
        try channel.writeInbound(burst)
        #expect(self.requests.count == 2)
        self.requests.answerFirst()
        #expect(try self.answers(channel).count == 1)
        #expect(self.requests.count == 2)
        for _ in 1...4 {
            self.requests.answerFirst()
            #expect(try self.answers(channel).count == 1)
        }
        #expect(self.requests.count == 0)
        _ = try channel.finish()
    }

    @Test("The window limits the bytes of requests in flight too")
    func byteWindow() throws {
        let length = self.ping(1).readableBytes
        let channel = try self.channel(window: 100, windowBytes: length)
        var burst = ByteBuffer()
        for id in 1...5 { burst.writeImmutableBuffer(self.ping(id)) }
        try channel.writeInbound(burst)
        #expect(self.requests.count == 2)
        for _ in 1...5 {
            self.requests.answerFirst()
            #expect(try self.answers(channel).count == 1)
        }
        #expect(self.requests.count == 0)
        _ = try channel.finish()
    }

    @Test("Input that arrives while the connection drains is not buffered")
    func inputWhileDraining() throws {
        let channel = try self.channel()
        let handler = try channel.pipeline.syncOperations.handler(type: RPCServerHandler.self)
        try channel.writeInbound(self.ping(1))
        channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        for _ in 1...10 { try channel.writeInbound(ByteBuffer(repeating: 0x20, count: 100_000)) }
        #expect(handler.bufferedBytes == 0)
        self.requests.answerFirst()
        _ = try self.answers(channel)
        _ = try? channel.finish()
    }

    @Test("Malformed lines are answered with an error, and the connection continues")
    func badLines() throws {
        let channel = try self.channel()
        try channel.writeInbound(ByteBuffer(string: "hello\r\n\r\n \n" + String(repeating: "x", count: 300)))
        try channel.writeInbound(ByteBuffer(bytes: [0x22, 0xFF, 0x22, 0x0A]))
        let answers = try self.answers(channel)
        #expect(answers.count == 2)
        #expect(answers[0].contains("-32700"))
        #expect(answers[1].contains(#""limit_bytes":200"#))
        // The invalid UTF-8 was the end of the endless line; a line of its own is answered too.
        try channel.writeInbound(ByteBuffer(bytes: [0x22, 0xFF, 0x22, 0x0A]))
        #expect(try self.answers(channel).first?.contains("UTF-8") == true)
        try channel.writeInbound(self.ping(9))
        self.requests.answerFirst()
        #expect(try self.answers(channel).first?.contains(#""id":9"#) == true)
        _ = try channel.finish()
    }

    @Test("A request without an id gets no answer, and frees its place in the window")
    func requestWithoutID() throws {
        let channel = try self.channel(window: 1)
        try channel.writeInbound(ByteBuffer(string: #"{"jsonrpc":"2.0","method":"ping"}"# + "\n"))
        try channel.writeInbound(self.ping(1))
        #expect(self.requests.count == 1)
        self.requests.answerFirst()
        #expect(try self.answers(channel).isEmpty)
        self.requests.answerFirst()
        #expect(try self.answers(channel).count == 1)
        _ = try channel.finish()
    }

    @Test("A draining connection answers the accepted requests, then closes")
    func draining() throws {
        let channel = try self.channel()
        try channel.writeInbound(self.ping(1))
        channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        try channel.writeInbound(self.ping(2))
        #expect(self.requests.count == 1)
        #expect(channel.isActive)
        self.requests.answerFirst()
        #expect(try self.answers(channel).count == 1)
        #expect(!channel.isActive)
    }

    @Test("A draining connection closes at its deadline")
    func drainTimeout() throws {
        let channel = try self.channel()
        try channel.writeInbound(self.ping(1))
        channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        channel.embeddedEventLoop.advanceTime(by: .seconds(6))
        #expect(!channel.isActive)
        // A late answer has no effect.
        self.requests.answerFirst()
        channel.embeddedEventLoop.run()
    }

    @Test("The request handler is notified of requests that the connection itself rejects")
    func reportedRejections() throws {
        let channel = try self.channel()
        for line in ["no json", #"{"jsonrpc":"2.0","method":"pong"}"#, String(repeating: "x", count: 201)] {
            try channel.writeInbound(ByteBuffer(string: line + "\n"))
        }
        #expect(self.requests.rejections.withLockedValue { $0 } == [.parse, .unknownMethod, .tooLarge])
        #expect(self.requests.count == 0)
        // The second had no id, so it has no answer, but it is counted too.
        #expect(try self.answers(channel).count == 2)
    }
}
