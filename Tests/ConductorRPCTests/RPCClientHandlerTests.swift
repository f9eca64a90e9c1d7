// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import NIOTLS
import Testing

@testable import ConductorRPC

/// The guest's end of a connection, without a network.
@Suite struct RPCClientHandlerTests {
    private let outbox = CallOutbox()

    private func channel() throws -> (EmbeddedChannel, EventLoopFuture<@Sendable () -> Void>) {
        var configuration = ConductorConnection.Configuration()
        configuration.answerTimeout = .seconds(60)
        configuration.keepAlive = .seconds(600)
        let loop = EmbeddedEventLoop()
        let handshake = loop.makePromise(of: (@Sendable () -> Void).self)
        let channel = EmbeddedChannel(
            handler: RPCClientHandler(outbox: self.outbox, configuration: configuration, handshake: handshake),
            loop: loop)
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1)).wait()
        channel.pipeline.fireUserInboundEventTriggered(
            TLSUserEvent.handshakeCompleted(negotiatedProtocol: RPCProtocol.applicationProtocol))
        return (channel, handshake.futureResult)
    }

    private func written(_ channel: EmbeddedChannel) throws -> String {
        var text = ""
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: buffer) }
        return text
    }

    @Test("A quiet connection is kept open by pings")
    func keepAlive() throws {
        let (channel, _) = try self.channel()
        for turn in 1...5 {
            channel.embeddedEventLoop.advanceTime(by: .seconds(570))
            #expect(try self.written(channel) == "")
            channel.embeddedEventLoop.advanceTime(by: .seconds(30))
            let ping = try self.written(channel)
            #expect(ping.contains(#""method":"ping""#), "turn \(turn)")
            let id = try #require(ping.firstMatch(of: /"id":(\d+)/)?.output.1)
            try channel.writeInbound(
                ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(id),"result":{"version":"t"}}"# + "\n"))
        }
        #expect(channel.isActive)
        _ = try channel.finish()
    }

    @Test("The connection closes when the conductor does not answer a ping")
    func unansweredPing() throws {
        let (channel, _) = try self.channel()
        channel.embeddedEventLoop.advanceTime(by: .seconds(615))
        #expect(try self.written(channel).contains("ping"))
        channel.embeddedEventLoop.advanceTime(by: .seconds(80))
        #expect(!channel.isActive)
    }

    @Test("Calls fail with the error that the conductor sent before it closed")
    func closeReason() throws {
        let (channel, handshake) = try self.channel()
        let send = try handshake.wait()
        let result = NIOLockedValueBox<Result<RPCReply, RPCCallError>?>(nil)
        let id = try #require(self.outbox.nextID())
        _ = self.outbox.append(
            .init(id: id, line: Array("x\n".utf8)) { answer in result.withLockedValue { $0 = answer } })
        send()
        try channel.writeInbound(
            ByteBuffer(
                string: #"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"Too many connections","data":"#
                    + #"{"reason":"rate_limited","retryable":true}}}"# + "\n"))
        // The error does not answer the call.
        #expect(result.withLockedValue { $0 } == nil)
        _ = try channel.finish()
        guard case .failure(.connectionLost(let reason))? = result.withLockedValue({ $0 }) else {
            Issue.record("the call was not failed")
            return
        }
        #expect(reason.contains("Too many connections"))
    }
}
