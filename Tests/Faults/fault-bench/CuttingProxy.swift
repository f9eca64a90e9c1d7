// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// A TCP proxy on the loopback that does to connections what networks do. Its port stays while what is behind it comes
/// and goes on other ports.
final class CuttingProxy: Sendable {
    /// What happens to bytes.
    enum Mode: Sendable, Hashable {
        case forward
        /// Both directions are read and thrown away, and no end of a connection is told.
        case blackHole
        /// What the client sends arrives, and what is answered does not.
        case halfOpen
        /// Everything arrives late.
        case delay(milliseconds: Int64)
    }

    private struct State {
        var mode = Mode.forward
        /// Grows when a mode ends that throws bytes away or holds them back.
        var epoch = 0
        var target = 0
        var channels: [ObjectIdentifier: any Channel] = [:]
    }

    private let state = NIOLockedValueBox(State())
    private let server: NIOLockedValueBox<(any Channel)?> = NIOLockedValueBox(nil)

    /// The port that it listens on.
    var port: Int { self.server.withLockedValue { $0?.localAddress?.port } ?? 0 }

    /// Starts to listen.
    static func start() async throws -> CuttingProxy {
        let proxy = CuttingProxy()
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { proxy.accept($0) }
            .bind(host: "127.0.0.1", port: 0).get()
        proxy.server.withLockedValue { $0 = server }
        return proxy
    }

    /// Where new connections lead; 0 for nowhere.
    func lead(to port: Int) { self.state.withLockedValue { $0.target = port } }

    /// Applies to present and future connections. When a mode other than ``Mode/forward`` ends, whatever follows it, the connections
    /// that it applied to are cut: bytes of theirs were thrown away or are still held back, and no network delivers what comes after
    /// a gap. A broker would count other messages than its client, and confirm some that it never got.
    func set(_ mode: Mode) {
        let ends = self.state.withLockedValue { state in
            let ends = state.mode != .forward && state.mode != mode
            state.mode = mode
            if ends { state.epoch += 1 }
            return ends
        }
        if ends { self.cut() }
    }

    /// Ends all connections.
    ///
    /// - Returns: how many ends there were.
    @discardableResult
    func cut() -> Int {
        let channels = self.state.withLockedValue { Array($0.channels.values) }
        for channel in channels { channel.close(promise: nil) }
        return channels.count
    }

    /// Ends everything.
    func close() async {
        try? await self.server.withLockedValue { $0 }?.close()
        self.cut()
    }

    private func accept(_ inbound: any Channel) -> EventLoopFuture<Void> {
        let (target, epoch) = self.state.withLockedValue { ($0.target, $0.epoch) }
        return ClientBootstrap(group: inbound.eventLoop)
            .channelOption(.autoRead, value: false)
            .connect(host: "127.0.0.1", port: target)
            .flatMapThrowing { outbound in
                try inbound.pipeline.syncOperations.addHandler(
                    Forwarder(self, to: outbound, isAnswer: false, epoch: epoch))
                try outbound.pipeline.syncOperations.addHandler(
                    Forwarder(self, to: inbound, isAnswer: true, epoch: epoch))
                for channel in [inbound, outbound] {
                    let id = ObjectIdentifier(channel)
                    self.state.withLockedValue { $0.channels[id] = channel }
                    channel.closeFuture.whenComplete { _ in self.state.withLockedValue { $0.channels[id] = nil } }
                    channel.setOption(.autoRead, value: true).whenComplete { _ in }
                }
            }
    }

    /// What happens to bytes of a connection of this epoch; nil for one that is cut.
    fileprivate func mode(in epoch: Int) -> Mode? {
        self.state.withLockedValue { $0.epoch == epoch ? $0.mode : nil }
    }

    private final class Forwarder: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let proxy: CuttingProxy
        private let peer: any Channel
        private let isAnswer: Bool
        private let epoch: Int

        init(_ proxy: CuttingProxy, to peer: any Channel, isAnswer: Bool, epoch: Int) {
            self.proxy = proxy
            self.peer = peer
            self.isAnswer = isAnswer
            self.epoch = epoch
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = self.unwrapInboundIn(data)
            switch self.proxy.mode(in: self.epoch) {
            // It was read before the connection was cut.
            case nil: context.close(promise: nil)
            case .forward: self.peer.writeAndFlush(bytes, promise: nil)
            case .blackHole: break
            case .halfOpen: if !self.isAnswer { self.peer.writeAndFlush(bytes, promise: nil) }
            case .delay(let milliseconds):
                // One event loop, one delay: what was read first is written first.
                let peer = self.peer
                context.eventLoop.scheduleTask(in: .milliseconds(milliseconds)) {
                    peer.writeAndFlush(bytes, promise: nil)
                }
            }
        }

        func channelInactive(context: ChannelHandlerContext) {
            switch self.proxy.mode(in: self.epoch) {
            case .forward, .delay, nil: self.peer.close(promise: nil)
            case .blackHole, .halfOpen: break
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
