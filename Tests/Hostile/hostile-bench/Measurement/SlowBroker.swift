// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import NIOCore
import NIOPosix

/// A proxy before a broker that forwards a limited number of bytes a second to it, on all connections together; it
/// forwards the broker's bytes at once. Connections take turns of 4 KiB, like those of a network. It ends with its
/// standard input.
struct SlowBroker: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slow-broker", abstract: "Run a proxy that makes a broker slow.")

    @Option(help: "The broker's port at 127.0.0.1.")
    var target: Int

    @Option(help: "The number of bytes a second that reach the broker.")
    var bytesPerSecond = 8_000_000

    func run() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let rate = SlowRate(bytesPerSecond: self.bytesPerSecond)
        let target = self.target
        let server = try await ServerBootstrap(group: group)
            // Waiting bytes must be buffered by the sender, and not by the proxy.
            .childChannelOption(.socketOption(.so_rcvbuf), value: 16 << 10)
            .serverChannelOption(.socketOption(.so_rcvbuf), value: 16 << 10)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: SlowRate.turn))
            .childChannelInitializer { inbound in
                ClientBootstrap(group: inbound.eventLoop).channelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .channelOption(.autoRead, value: false)
                    .connect(host: "127.0.0.1", port: target)
                    .flatMapThrowing { outbound in
                        try inbound.pipeline.syncOperations.addHandler(SlowForwarder(to: outbound, rate: rate))
                        try outbound.pipeline.syncOperations.addHandler(SlowForwarder(to: inbound, rate: nil))
                    }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .bind(host: "127.0.0.1", port: 0).get()
        FileHandle.standardOutput.write(Data("port \(server.localAddress?.port ?? 0)\n".utf8))
        await AttackCommand.endOfInput()
        try await server.close()
        try await group.shutdownGracefully()
    }
}

/// Decides which connection's bytes are forwarded, and when. All calls are on one event loop.
private final class SlowRate: @unchecked Sendable {
    /// The number of bytes of one connection in a turn.
    static let turn = 4 << 10

    private let bytesPerSecond: Int
    private var waiting = CircularBuffer<(bytes: Int, proceed: () -> Void)>()
    private var free = NIODeadline.now()
    private var isScheduled = false

    init(bytesPerSecond: Int) { self.bytesPerSecond = bytesPerSecond }

    /// Calls `proceed` when it is the turn of these bytes. A connection has one open call, so all connections get their
    /// turns.
    func wait(_ bytes: Int, on eventLoop: any EventLoop, _ proceed: @escaping () -> Void) {
        eventLoop.preconditionInEventLoop()
        self.waiting.append((bytes, proceed))
        self.serve(on: eventLoop)
    }

    private func serve(on eventLoop: any EventLoop) {
        guard !self.isScheduled else { return }
        let now = NIODeadline.now()
        while self.free <= now, let next = self.waiting.popFirst() {
            let cost = TimeAmount.nanoseconds(Int64(next.bytes) * 1_000_000_000 / Int64(self.bytesPerSecond))
            // Unused time is lost, except for the inaccuracy of the timer.
            self.free = max(self.free, now - .milliseconds(1)) + cost
            next.proceed()
        }
        guard !self.waiting.isEmpty, !self.isScheduled else { return }
        self.isScheduled = true
        eventLoop.assumeIsolated().scheduleTask(deadline: self.free) {
            self.isScheduled = false
            self.serve(on: eventLoop)
        }
    }
}

private final class SlowForwarder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let peer: any Channel
    private let rate: SlowRate?

    init(to peer: any Channel, rate: SlowRate?) {
        self.peer = peer
        self.rate = rate
    }

    func handlerAdded(context: ChannelHandlerContext) { if context.channel.isActive { context.read() } }

    func channelActive(context: ChannelHandlerContext) { context.read() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Self.unwrapInboundIn(data)
        guard let rate else {
            self.peer.writeAndFlush(bytes, promise: nil)
            context.read()
            return
        }
        rate.wait(bytes.readableBytes, on: context.eventLoop) {
            self.peer.writeAndFlush(bytes, promise: nil)
            if context.channel.isActive { context.read() }
        }
    }

    func channelInactive(context: ChannelHandlerContext) { self.peer.close(promise: nil) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
