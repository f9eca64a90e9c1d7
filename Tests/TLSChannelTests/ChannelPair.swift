// SPDX-License-Identifier: Apache-2.0

import EventLoopScheduling
import NIOCore
import NIOEmbedded
import NIOTLS

@testable import TLSChannel

/// Two embedded channels with a handler each; `pump` carries bytes between them until nothing moves.
final class ChannelPair {
    let client = EmbeddedChannel()
    let server = EmbeddedChannel()
    let clientLog: EventLog
    let serverLog: EventLog
    let clientTLS: TLSHandler
    let serverTLS: TLSHandler

    init(
        _ identities: TestIdentities,
        client: TLSConfiguration? = nil,
        server: TLSConfiguration? = nil,
        live: LiveTLSContext? = nil,
        serverName: String = "localhost",
        background: (any BackgroundExecutor)? = nil
    ) throws {
        self.clientTLS = try TLSHandler(
            context: TLSContext(configuration: client ?? identities.clientConfiguration()), serverName: serverName)
        let live = try live ?? LiveTLSContext(TLSContext(configuration: server ?? identities.serverConfiguration()))
        self.serverTLS = try TLSHandler(live: live, serverName: nil, background: background)
        self.clientLog = EventLog(self.clientTLS)
        self.serverLog = EventLog(self.serverTLS)
        try self.client.pipeline.syncOperations.addHandlers([self.clientTLS, self.clientLog])
        try self.server.pipeline.syncOperations.addHandlers([self.serverTLS, self.serverLog])
    }

    deinit {
        for channel in [self.client, self.server] {
            Self.tearDown(channel)
        }
    }

    /// Closes the channel and removes its handlers: one that stays open, or keeps its handlers, is a reference cycle.
    static func tearDown(_ channel: EmbeddedChannel) {
        channel.close(promise: nil)
        channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        channel.embeddedEventLoop.run()
    }

    func connect() throws {
        let address = try SocketAddress(unixDomainSocketPath: "/nowhere")
        self.server.connect(to: address, promise: nil)
        self.client.connect(to: address, promise: nil)
    }

    /// Connects, completes the handshake, and clears both logs.
    func establish() throws {
        try self.connect()
        try self.pump()
        guard self.clientLog.events.contains("handshake conductor-rpc/1"),
            self.serverLog.events.contains("handshake conductor-rpc/1")
        else { throw Unexpected() }
        self.clientLog.events = []
        self.serverLog.events = []
    }

    /// Carries bytes in both directions until nothing moves. Throws if that never happens.
    func pump() throws {
        for _ in 0..<1000 {
            let moved = try Self.carry(self.client, self.server)
            guard try Self.carry(self.server, self.client) || moved else { return }
        }
        throw Unexpected()
    }

    @discardableResult
    static func carry(_ from: EmbeddedChannel, _ to: EmbeddedChannel) throws -> Bool {
        var moved = false
        while let bytes = try from.readOutbound(as: ByteBuffer.self) {
            guard to.isActive, bytes.readableBytes > 0 else { continue }
            to.pipeline.fireChannelRead(bytes)
            moved = true
        }
        if moved { to.pipeline.fireChannelReadComplete() }
        return moved
    }

    /// Simulates a network that drops one side without any message of TLS.
    static func cut(_ channel: EmbeddedChannel) {
        channel.pipeline.fireChannelInactive()
    }
}

/// A log of the events that a handler above TLS receives, in order.
final class EventLog: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    var events: [String] = []
    var received = ByteBuffer()
    var errors: [TLSError] = []
    var whenActive: ((ChannelHandlerContext) -> Void)?
    var whenError: ((ChannelHandlerContext) -> Void)?
    var peerAtHandshake: PeerCertificate?
    private let tls: TLSHandler

    init(_ tls: TLSHandler) {
        self.tls = tls
    }

    func channelActive(context: ChannelHandlerContext) {
        self.events.append("active")
        self.whenActive?(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.events.append("inactive")
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        self.events.append("read \(bytes.readableBytes)")
        self.received.writeBuffer(&bytes)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        self.events.append("readComplete")
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.handshakeCompleted(let name)) = event as? TLSUserEvent {
            self.peerAtHandshake = self.tls.peerCertificate
            self.events.append("handshake \(name ?? "nil")")
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.events.append("error \((error as? TLSError)?.code.description ?? "\(error)")")
        if let error = error as? TLSError { self.errors.append(error) }
        self.whenError?(context)
    }
}

/// Counts the reads, writes and flushes that reach the network.
final class OutboundCounter: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    var reads = 0
    var writes: [ByteBuffer] = []
    var flushes = 0
    /// Whether writes and their promises are kept instead of forwarded, as by a socket that accepts nothing.
    var isBlocked = false
    var blocked: [EventLoopPromise<Void>] = []

    func read(context: ChannelHandlerContext) {
        self.reads += 1
        context.read()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        self.writes.append(self.unwrapOutboundIn(data))
        if self.isBlocked {
            if let promise { self.blocked.append(promise) }
        } else {
            context.write(data, promise: promise)
        }
    }

    func flush(context: ChannelHandlerContext) {
        self.flushes += 1
        context.flush()
    }
}
