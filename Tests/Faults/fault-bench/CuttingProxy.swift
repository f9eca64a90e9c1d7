// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// A TCP proxy on the loopback interface that disturbs connections like a network. Its port does not change, while the
/// server behind it restarts on other ports.
final class CuttingProxy: Sendable {
    /// The ways to handle bytes.
    enum Mode: Sendable, Hashable {
        case forward
        /// Both directions are read and discarded, and the end of a connection is not forwarded.
        case blackHole
        /// The client's bytes arrive; those of the server do not.
        case halfOpen
        /// Everything arrives late.
        case delay(milliseconds: Int64)
    }

    private struct State {
        var mode = Mode.forward
        /// Incremented when a mode ends that discards or delays bytes.
        var epoch = 0
        var target = 0
        var channels: [ObjectIdentifier: any Channel] = [:]
    }

    private let state = NIOLockedValueBox(State())
    private let server: NIOLockedValueBox<(any Channel)?> = NIOLockedValueBox(nil)

    /// The port on which it listens.
    var port: Int { self.server.withLockedValue { $0?.localAddress?.port } ?? 0 }

    /// Starts a proxy.
    static func start() async throws -> CuttingProxy {
        let proxy = CuttingProxy()
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { proxy.accept($0) }
            .bind(host: "127.0.0.1", port: 0).get()
        proxy.server.withLockedValue { $0 = server }
        return proxy
    }

    /// Sets the port to which new connections lead; 0 for none.
    func lead(to port: Int) { self.state.withLockedValue { $0.target = port } }

    /// Sets the mode of present and future connections. When a mode other than ``Mode/forward`` ends, the connections
    /// in that mode are cut, whatever the next mode is: some of their bytes were discarded or are still delayed, and no
    /// network delivers bytes after a gap. A broker would count other messages than its client, and confirm some that
    /// it never received.
    func set(_ mode: Mode) {
        let ends = self.state.withLockedValue { state in
            let ends = state.mode != .forward && state.mode != mode
            state.mode = mode
            if ends { state.epoch += 1 }
            return ends
        }
        if ends { self.cut() }
    }

    /// Closes all connections.
    ///
    /// - Returns: the number of channels that were closed.
    @discardableResult
    func cut() -> Int {
        let channels = self.state.withLockedValue { Array($0.channels.values) }
        for channel in channels { channel.close(promise: nil) }
        return channels.count
    }

    /// Closes all connections and stops listening.
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

    /// Returns the mode of the connections of this epoch; nil if they are cut.
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
            // The bytes were read before the connection was cut.
            case nil: context.close(promise: nil)
            case .forward: self.peer.writeAndFlush(bytes, promise: nil)
            case .blackHole: break
            case .halfOpen: if !self.isAnswer { self.peer.writeAndFlush(bytes, promise: nil) }
            case .delay(let milliseconds):
                // With one event loop and one delay, bytes are written in the order in which they were read.
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
