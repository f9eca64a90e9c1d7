// SPDX-License-Identifier: Apache-2.0

import EventLoopTesting
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import NIOTLS
import Testing

@testable import ConductorRPC

/// Requests of long lines, which are prepared on a background thread and carried out on the event loop.
@Suite struct LongRequestTests {
    private let requests = HeldRequests()
    private let admission = ScriptedAdmission()
    private let work = HeldWork()

    private func channel() throws -> EmbeddedChannel {
        var configuration = RPCServerHandler.Configuration()
        configuration.idleTimeout = .seconds(100)
        let handler = RPCServerHandler(
            configuration: configuration, requestHandler: self.requests, admission: self.admission,
            background: self.work, logger: Logger(label: "test"))
        let channel = EmbeddedChannel(handler: handler)
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1)).wait()
        channel.pipeline.fireUserInboundEventTriggered(TLSUserEvent.handshakeCompleted(negotiatedProtocol: nil))
        return channel
    }

    private func ping(_ id: Int) -> ByteBuffer {
        ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(id),"method":"ping"}"# + "\n")
    }

    private func long(_ id: Int) -> ByteBuffer {
        ByteBuffer(string: String(repeating: " ", count: 20_000) + String(buffer: self.ping(id)))
    }

    private func answers(_ channel: EmbeddedChannel) throws -> [String] {
        channel.embeddedEventLoop.run()
        var lines: [String] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) {
            lines += String(buffer: buffer).split(separator: "\n").map(String.init)
        }
        return lines
    }

    private var prepared: Int { self.requests.prepared.withLockedValue { $0 } }
    private var flushes: [Int] { self.requests.flushes.withLockedValue { $0 } }

    @Test("A long request is prepared in the background, and later requests wait for it")
    func preparedInBackground() throws {
        let channel = try self.channel()
        try channel.writeInbound(self.ping(1))
        #expect(self.requests.count == 1)
        try channel.writeInbound(self.long(2))
        try channel.writeInbound(self.ping(3))
        #expect(self.work.count == 1)
        #expect(self.requests.count == 1 && self.prepared == 0)
        // This side causes the silence.
        channel.embeddedEventLoop.advanceTime(by: .seconds(200))
        #expect(channel.isActive)
        self.work.release()
        channel.embeddedEventLoop.run()
        #expect(self.requests.count == 3 && self.prepared == 1)
        #expect(self.admission.state.withLockedValue { $0.requests } == 3)
        _ = try channel.finish()
    }

    /// The handler's locks belong to event loops: a thread of low priority may be suspended while it holds one.
    @Test("Only the event loop hands a prepared request to its handler")
    func handledOnEventLoop() throws {
        let channel = try self.channel()
        try channel.writeInbound(self.long(1))
        let flushes = self.flushes.count
        self.work.release()
        // The event loop has not run since.
        #expect(self.prepared == 1)
        #expect(self.requests.count == 0)
        #expect(self.flushes.count == flushes)
        channel.embeddedEventLoop.run()
        #expect(self.requests.count == 1)
        #expect(self.flushes.dropFirst(flushes) == [1])
        _ = try channel.finish()
    }

    @Test("Only the event loop reports that a long line is rejected")
    func rejectedOnEventLoop() throws {
        let channel = try self.channel()
        try channel.writeInbound(ByteBuffer(string: String(repeating: " ", count: 20_000) + "x\n"))
        self.work.release()
        #expect(self.requests.rejections.withLockedValue { $0 } == [])
        channel.embeddedEventLoop.run()
        #expect(self.requests.rejections.withLockedValue { $0 } == [.parse])
        _ = try channel.finish()
    }

    @Test("A long request beyond the rate limit is answered under its id and not prepared")
    func overRateLimit() throws {
        self.admission.state.withLockedValue { $0.waits = [.seconds(1)] }
        let channel = try self.channel()
        try channel.writeInbound(self.long(7))
        self.work.release()
        let answers = try self.answers(channel)
        #expect(answers.count == 1 && answers[0].contains(#""id":7"#) && answers[0].contains("rate_limited"))
        #expect(self.prepared == 0 && self.requests.count == 0)
        #expect(self.requests.rejections.withLockedValue { $0 } == [.rateLimited])
        _ = try channel.finish()
    }

    @Test("A prepared request is carried out although its connection has ended")
    func connectionEnded() throws {
        let channel = try self.channel()
        try channel.writeInbound(self.long(1))
        self.work.release()
        channel.pipeline.fireChannelInactive()
        channel.embeddedEventLoop.run()
        #expect(self.requests.count == 1)
        #expect(self.flushes.last == 1)
        // Its answer is not sent.
        self.requests.answerFirst()
        #expect(try self.answers(channel) == [])
        #expect(self.admission.state.withLockedValue { $0.left } == 1)
        _ = try channel.finish()
    }

    @Test("A line that is not a request is answered with a parse error, long or short")
    func malformedLine() throws {
        let channel = try self.channel()
        for (line, code) in [("[" + String(repeating: " ", count: 20_000), "-32700"), ("x", "-32700")] {
            try channel.writeInbound(ByteBuffer(string: line + "\n"))
            self.work.release()
            #expect(try self.answers(channel).map { $0.contains(code) } == [true])
        }
        _ = try channel.finish()
    }

    @Test("A draining connection carries out its long request, and a closed one does not")
    func draining() throws {
        for isDrained in [true, false] {
            let channel = try self.channel()
            try channel.writeInbound(self.long(1))
            if isDrained {
                channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
                #expect(channel.isActive)
            } else {
                _ = try channel.finish()
            }
            let before = self.requests.count
            self.work.release()
            channel.embeddedEventLoop.run()
            #expect(self.requests.count == before + (isDrained ? 1 : 0))
            guard isDrained else { continue }
            self.requests.answerFirst()
            #expect(try self.answers(channel).count == 1)
            #expect(!channel.isActive)
        }
    }
}
