// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
package import TLSChannel

/// A guest that sends any bytes over TLS, and reads lines.
package struct RawGuest {
    private let channel: any Channel
    private var lines: AsyncThrowingStream<String, any Error>.Iterator

    /// Runs `body` with a guest that is connected to the conductor.
    ///
    /// - Parameter certificate: the name of the guest's certificate, one of those written to the conductor's
    ///   certificates.
    package static func with<Result>(
        _ conductor: RunningConductor, certificate: String = "guest", _ body: (inout RawGuest) async throws -> Result
    ) async throws -> Result {
        let (lines, sink) = AsyncThrowingStream.makeStream(of: String.self)
        let tls = try conductor.certificates.client(certificate)
        let channel = try await ClientBootstrap(group: TestEventLoops.group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        TLSHandler(context: tls, serverName: "127.0.0.1"), LineCollector(sink))
                }
            }
            .connect(host: "127.0.0.1", port: conductor.port).get()
        var guest = RawGuest(channel: channel, lines: lines.makeAsyncIterator())
        do {
            let result = try await body(&guest)
            try? await channel.close()
            return result
        } catch {
            try? await channel.close()
            throw error
        }
    }

    /// The certificate that the conductor showed; nil before the first answer.
    package func conductorCertificate() async throws -> PeerCertificate? {
        try await self.channel.eventLoop.submit { [channel] in
            try channel.pipeline.syncOperations.handler(type: TLSHandler.self).peerCertificate
        }.get()
    }

    /// Sends bytes as they are.
    package func send(_ bytes: [UInt8]) async throws { try await self.channel.writeAndFlush(ByteBuffer(bytes: bytes)) }

    /// Sends bytes as they are, from another task.
    package var sender: @Sendable ([UInt8]) async throws -> Void {
        { [channel] in try await channel.writeAndFlush(ByteBuffer(bytes: $0)) }
    }

    /// Sends a line.
    package func send(line: String) async throws { try await self.send(Array("\(line)\n".utf8)) }

    /// Returns the next line from the conductor; nil when it closed the connection.
    package mutating func line() async throws -> String? { try await self.lines.next() }

    /// Sends a line and returns the next answer.
    package mutating func call(_ line: String) async throws -> String {
        try await self.send(line: line)
        guard let answer = try await self.line() else {
            throw TestConductorError(description: "the conductor closed the connection")
        }
        return answer
    }

    private final class LineCollector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let sink: AsyncThrowingStream<String, any Error>.Continuation
        private var text = ""

        init(_ sink: AsyncThrowingStream<String, any Error>.Continuation) { self.sink = sink }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.text += String(buffer: Self.unwrapInboundIn(data))
            var lines = self.text.split(separator: "\n", omittingEmptySubsequences: false)
            self.text = String(lines.removeLast())
            for line in lines { self.sink.yield(String(line)) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            self.sink.finish(throwing: error)
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) { self.sink.finish() }
    }
}
