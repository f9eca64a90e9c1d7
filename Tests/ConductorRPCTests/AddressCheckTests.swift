import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import NIOExtras
import Testing

@testable import ConductorRPC

@Suite(.timeLimit(.minutes(1))) struct AddressCheckTests {
    private struct Refusal: Error {}

    /// Counts how often it was told that the channel is active.
    private final class Witness: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let activations: NIOLockedValueBox<Int>

        init(_ activations: NIOLockedValueBox<Int>) { self.activations = activations }

        func channelActive(context: ChannelHandlerContext) { self.activations.withLockedValue { $0 += 1 } }
    }

    private let activations = NIOLockedValueBox(0)
    private let asked = NIOLockedValueBox<[String]>([])

    private func channel(admits: Bool, fails: Bool = false) throws -> EmbeddedChannel {
        let (activations, asked) = (self.activations, self.asked)
        let check = AddressCheck {
            address, _ in
            asked.withLockedValue { $0.append(address.hostAndPort ?? "") }
            return admits
        } setUp: { channel in
            if fails { throw Refusal() }
            try channel.pipeline.syncOperations.addHandler(Witness(activations))
        }
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandler(check)
        return channel
    }

    private func connect(_ channel: EmbeddedChannel) throws {
        channel.connect(to: try SocketAddress(ipAddress: "192.0.2.1", port: 7), promise: nil)
        channel.embeddedEventLoop.run()
    }

    private func isChecking(_ channel: EmbeddedChannel) -> Bool {
        (try? channel.pipeline.syncOperations.context(handlerType: AddressCheck.self)) != nil
    }

    @Test func whoIsLetInGetsItsHandlersAndIsCheckedNoMore() throws {
        let channel = try self.channel(admits: true)
        try self.connect(channel)
        #expect(channel.isActive)
        #expect(self.asked.withLockedValue { $0 } == ["192.0.2.1:7"])
        #expect(self.activations.withLockedValue { $0 } == 1)
        #expect(!self.isChecking(channel))
        _ = try channel.finish()
    }

    @Test func whoIsNotLetInGetsNothingAndIsClosed() throws {
        let channel = try self.channel(admits: false)
        try self.connect(channel)
        #expect(!channel.isActive)
        #expect(self.activations.withLockedValue { $0 } == 0)
    }

    @Test func aConnectionThatCannotBeSetUpIsClosed() throws {
        let channel = try self.channel(admits: true, fails: true)
        try self.connect(channel)
        #expect(!channel.isActive)
        #expect(throws: Refusal.self) { try channel.throwIfErrorCaught() }
    }

    /// Whoever would have heard of it is not there yet: the server would wait for this connection.
    @Test func aServerThatStopsClosesWhoIsAboutToComeIn() throws {
        let channel = try self.channel(admits: true)
        channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        channel.embeddedEventLoop.run()
        try channel.closeFuture.wait()
        #expect(self.asked.withLockedValue { $0 }.isEmpty)
    }
}
