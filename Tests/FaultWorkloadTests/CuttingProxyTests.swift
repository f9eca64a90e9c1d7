// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@testable import fault_bench

@Suite("The fault bench's proxy", .timeLimit(.minutes(1)))
struct CuttingProxyTests {
    /// Collects the bytes that arrive.
    private final class Collector: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let bytes = NIOLockedValueBox<[UInt8]>([])

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let read = Self.unwrapInboundIn(data)
            self.bytes.withLockedValue { $0 += read.readableBytesView }
        }
    }

    /// More bytes than the socket buffers hold, so that a write of them ends only when the proxy has read.
    private static let sent = (0..<(16 << 20)).map { UInt8(truncatingIfNeeded: $0 / 251) }

    @Test(
        "After lost bytes, no later byte of the connection arrives, whatever the next mode is",
        arguments: [CuttingProxy.Mode.forward, .halfOpen, .delay(milliseconds: 0)])
    func noBytesAfterGap(next: CuttingProxy.Mode) async throws {
        let collector = Collector()
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(collector) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let proxy = try await CuttingProxy.start()
        proxy.lead(to: try #require(server.localAddress?.port))
        let client = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: proxy.port).get()
        let half = Self.sent.count / 2
        proxy.set(.blackHole)
        try await client.writeAndFlush(ByteBuffer(bytes: Self.sent[..<half]))
        proxy.set(next)
        // Fails if the connection is already closed.
        try? await client.writeAndFlush(ByteBuffer(bytes: Self.sent[half...]))
        // If the proxy forwarded again, it would not close the connection.
        let end = client.eventLoop.scheduleTask(in: .seconds(10)) { client.close(promise: nil) }
        try await client.closeFuture.get()
        end.cancel()
        let arrived = collector.bytes.withLockedValue { $0 }
        #expect(arrived.elementsEqual(Self.sent.prefix(arrived.count)))
        await proxy.close()
        try await server.close()
    }
}
