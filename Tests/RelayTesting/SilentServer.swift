// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix

/// A server that accepts connections and reads, but never answers.
package struct SilentServer {
    /// The port on 127.0.0.1.
    package let port: Int
    private let words: AsyncStream<Void>

    /// Runs `body` with a server.
    package static func with<Result>(_ body: (SilentServer) async throws -> Result) async throws -> Result {
        let (words, listener) = AsyncStream.makeStream(of: Void.self)
        let channel = try await ServerBootstrap(group: TestEventLoops.group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Listener(listener))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        guard let port = channel.localAddress?.port else {
            throw TestConductorError(description: "the silent server has no port")
        }
        do {
            let result = try await body(SilentServer(port: port, words: words))
            try await channel.close()
            return result
        } catch {
            try? await channel.close()
            throw error
        }
    }

    /// Returns once a client has connected and sent something.
    package func wasSpokenTo() async { _ = await self.words.first { true } }

    private final class Listener: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let listener: AsyncStream<Void>.Continuation

        init(_ listener: AsyncStream<Void>.Continuation) { self.listener = listener }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { self.listener.yield() }
    }
}
