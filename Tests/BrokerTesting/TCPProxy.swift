// SPDX-License-Identifier: Apache-2.0

internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// A TCP proxy on the loopback interface that can become a black hole: connections stay open, and no bytes get through.
package final class TCPProxy: Sendable {
    /// The ways to handle bytes from either side.
    package enum Mode: Sendable {
        case forward
        /// Bytes are read and discarded, as for a peer that has vanished behind a firewall.
        case swallow
        /// Bytes are no longer read, as for a peer that hangs. The sender blocks when the socket buffers are full.
        case stall
    }

    private struct State {
        var mode = Mode.forward
        var channels: [ObjectIdentifier: any Channel] = [:]
        var connections = 0
        var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = NIOLockedValueBox(State())
    private let targetPort: Int
    private let server = NIOLockedValueBox<(any Channel)?>(nil)

    private init(targetPort: UInt16) {
        self.targetPort = Int(targetPort)
    }

    /// The port on which the proxy listens.
    package var port: Int { self.server.withLockedValue { $0?.localAddress?.port } ?? 0 }

    package static func with<Result>(
        host: String = "127.0.0.1", targetPort: UInt16, _ body: (TCPProxy) async throws -> Result
    ) async throws -> Result {
        let proxy = TCPProxy(targetPort: targetPort)
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { proxy.accept($0) }
            .bind(host: host, port: 0).get()
        proxy.server.withLockedValue { $0 = server }
        do {
            let result = try await body(proxy)
            try await proxy.close(server)
            return result
        } catch {
            try? await proxy.close(server)
            throw error
        }
    }

    /// Sets the mode of present and future connections. Swallowed bytes are lost: after `swallow` ends, only new
    /// connections work. Stalled connections continue.
    package func set(_ mode: Mode) {
        let channels = self.state.withLockedValue {
            $0.mode = mode
            return Array($0.channels.values)
        }
        for channel in channels {
            channel.eventLoop.execute {
                try? channel.pipeline.syncOperations.handler(type: Forwarder.self).modeChanged()
            }
            channel.setOption(.autoRead, value: mode != .stall).whenComplete { _ in }
        }
    }

    /// Returns once this many connections have been made in all.
    package func wasConnected(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isReady = self.state.withLockedValue { state in
                guard state.connections < count else { return true }
                state.waiters.append((count, continuation))
                return false
            }
            if isReady { continuation.resume() }
        }
    }

    /// Closes every connection, like a router that restarts. New connections are accepted.
    package func cut() {
        for channel in self.state.withLockedValue({ Array($0.channels.values) }) { channel.close(promise: nil) }
    }

    private func close(_ server: any Channel) async throws {
        try await server.close()
        self.cut()
    }

    private func accept(_ inbound: any Channel) -> EventLoopFuture<Void> {
        let ready = self.state.withLockedValue { state in
            state.connections += 1
            let ready = state.waiters.filter { $0.count <= state.connections }
            state.waiters.removeAll { $0.count <= state.connections }
            return ready
        }
        for waiter in ready { waiter.continuation.resume() }
        return ClientBootstrap(group: inbound.eventLoop)
            .channelOption(.autoRead, value: false)
            .connect(host: "127.0.0.1", port: self.targetPort)
            .flatMapThrowing { outbound in
                try inbound.pipeline.syncOperations.addHandler(Forwarder(self, to: outbound))
                try outbound.pipeline.syncOperations.addHandler(Forwarder(self, to: inbound))
                let reads = self.state.withLockedValue { $0.mode != .stall }
                for channel in [inbound, outbound] {
                    let id = ObjectIdentifier(channel)
                    self.state.withLockedValue { $0.channels[id] = channel }
                    channel.closeFuture.whenComplete { _ in self.state.withLockedValue { $0.channels[id] = nil } }
                    channel.setOption(.autoRead, value: reads).whenComplete { _ in }
                }
            }
    }

    private final class Forwarder: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let proxy: TCPProxy
        private let peer: any Channel
        /// The bytes of a read that was in progress when the connection was stalled.
        private var held: [ByteBuffer] = []

        init(_ proxy: TCPProxy, to peer: any Channel) {
            self.proxy = proxy
            self.peer = peer
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.held.append(self.unwrapInboundIn(data))
            self.modeChanged()
        }

        func modeChanged() {
            switch self.proxy.state.withLockedValue({ $0.mode }) {
            case .stall: return
            case .forward: for buffer in self.held { self.peer.writeAndFlush(buffer, promise: nil) }
            case .swallow: break
            }
            self.held = []
        }

        func channelInactive(context: ChannelHandlerContext) {
            // A black hole does not forward the end of a connection either.
            guard self.proxy.state.withLockedValue({ $0.mode == .forward }) else { return }
            self.peer.close(promise: nil)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }
}
