// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import NIOExtras
import Testing

@testable import ConductorRPC

@Suite(.timeLimit(.minutes(1))) struct PendingConnectionHandlerTests {
    private struct Refusal: Error {}

    /// Records the events that it receives.
    private final class EventRecorder: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let events: NIOLockedValueBox<[String]>

        init(_ events: NIOLockedValueBox<[String]>) { self.events = events }

        private func add(_ event: String) { self.events.withLockedValue { $0.append(event) } }

        func channelActive(context: ChannelHandlerContext) { self.add("active") }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.add("\(Self.unwrapInboundIn(data).readableBytes) bytes")
        }
        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) { self.add("\(event)") }
    }

    private let events = NIOLockedValueBox<[String]>([])
    private let asked = NIOLockedValueBox<[String]>([])
    private static let hello: [UInt8] = [22, 3, 1, 0, 14, 1, 0, 0, 10] + [UInt8](repeating: 7, count: 10)

    private func channel(
        _ gate: ConnectionGate, admits: Bool = true, fails: Bool = false, loop: EmbeddedEventLoop = EmbeddedEventLoop()
    ) throws -> EmbeddedChannel {
        let (events, asked) = (self.events, self.asked)
        let handler = PendingConnectionHandler(gate, timeouts: .init(hello: .seconds(2), wait: .seconds(10))) {
            network, address, _ in
            asked.withLockedValue { $0.append("\(network) \(address.hostAndPort ?? "")") }
            return admits
        } setUp: { channel in
            if fails { throw Refusal() }
            try channel.pipeline.syncOperations.addHandlers(EventRecorder(events), HandshakeCompletionHandler(gate))
        }
        let channel = EmbeddedChannel(loop: loop)
        try channel.pipeline.syncOperations.addHandler(handler)
        return channel
    }

    private func gate(pending: Int = 10, handshakes: Int = 10) -> ConnectionGate {
        ConnectionGate(.init(pending: pending, handshakes: handshakes))
    }

    private func connect(_ channel: EmbeddedChannel, host: String = "192.0.2.1") throws {
        channel.connect(to: try SocketAddress(ipAddress: host, port: 7), promise: nil)
        channel.embeddedEventLoop.run()
    }

    private func say(_ channel: EmbeddedChannel, _ bytes: [UInt8]) throws {
        try channel.writeInbound(ByteBuffer(bytes: bytes))
        channel.embeddedEventLoop.run()
    }

    private func isPending(_ channel: EmbeddedChannel) -> Bool {
        (try? channel.pipeline.syncOperations.context(handlerType: PendingConnectionHandler.self)) != nil
    }

    /// A handshake that keeps its place for longer must not delay the check of one whose time is over.
    @Test("The scheduled check moves forward when an earlier deadline appears")
    func earlierDeadline() throws {
        let loop = EmbeddedEventLoop()
        let gate = ConnectionGate(.init(pending: 10, handshakes: 3, handshakesPerAddress: 2))
        func come(_ host: String) throws -> EmbeddedChannel {
            let channel = try self.channel(gate, loop: loop)
            try self.connect(channel, host: host)
            try self.say(channel, Self.hello)
            return channel
        }
        let oldest = try come("192.0.2.1")
        loop.advanceTime(by: .seconds(2))
        let pair = [try come("192.0.2.2"), try come("192.0.2.2")]
        // The pair's address has the most handshakes, and their time is over in three seconds.
        let third = try come("192.0.2.3")
        #expect(self.isPending(third))
        // The end of one of them gives its place to the third. Now each address has one, and the oldest has one more
        // second.
        pair[0].close(promise: nil)
        loop.run()
        #expect(!self.isPending(third))
        let fourth = try come("192.0.2.4")
        loop.advanceTime(by: .milliseconds(999))
        #expect(self.isPending(fourth) && oldest.isActive)
        loop.advanceTime(by: .milliseconds(1))
        loop.run()
        #expect(!self.isPending(fourth) && !oldest.isActive)
        for channel in [pair[1], third, fourth] { _ = try? channel.finish() }
    }

    @Test("A connection with a complete ClientHello gets its handlers and all input so far")
    func completeHello() throws {
        let gate = self.gate()
        let channel = try self.channel(gate)
        try self.connect(channel)
        #expect(self.asked.withLockedValue { $0 } == ["v4(3221225985) 192.0.2.1:7"])
        #expect(gate.counts.silent == 1 && self.isPending(channel))
        try self.say(channel, Array(Self.hello.dropLast()))
        #expect(self.events.withLockedValue { $0 }.isEmpty)
        try self.say(channel, [7, 8, 9])
        #expect(self.events.withLockedValue { $0 } == ["active", "\(Self.hello.count + 2) bytes"])
        #expect(channel.isActive && !self.isPending(channel) && gate.counts.handshakes == 1)
        // The deadline of the ClientHello no longer applies.
        channel.embeddedEventLoop.advanceTime(by: .seconds(60))
        #expect(channel.isActive)
        _ = try channel.finish()
        #expect(gate.counts == .init())
    }

    @Test("A connection that is not admitted is closed")
    func notAdmitted() throws {
        let gate = self.gate()
        let channel = try self.channel(gate, admits: false)
        try self.connect(channel)
        #expect(!channel.isActive)
        #expect(gate.counts == .init())
    }

    /// The deadline is for the complete ClientHello: a peer gains no time by sending it slowly.
    @Test("A connection whose ClientHello arrives byte by byte is closed at its deadline")
    func slowHello() throws {
        let gate = self.gate()
        let channel = try self.channel(gate)
        try self.connect(channel)
        for byte in Self.hello.prefix(4) {
            channel.embeddedEventLoop.advanceTime(by: .milliseconds(499))
            #expect(channel.isActive)
            try self.say(channel, [byte])
        }
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(4))
        channel.embeddedEventLoop.run()
        #expect(!channel.isActive)
        #expect(gate.counts == .init() && self.events.withLockedValue { $0 }.isEmpty)
    }

    @Test("A waiting connection begins when a place is free, with all that has arrived")
    func waitsForPlace() throws {
        let gate = self.gate(handshakes: 1)
        let loop = EmbeddedEventLoop()
        let first = try self.channel(gate, loop: loop)
        let second = try self.channel(gate, loop: loop)
        try self.connect(first)
        try self.say(first, Self.hello)
        try self.connect(second, host: "192.0.2.2")
        try self.say(second, Self.hello)
        #expect(gate.counts.waiting == 1 && self.isPending(second))
        second.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        self.events.withLockedValue { $0 = [] }
        first.close(promise: nil)
        loop.run()
        #expect(self.events.withLockedValue { $0 } == ["active", "\(Self.hello.count) bytes", "inputClosed"])
        #expect(gate.counts.handshakes == 1 && !self.isPending(second))
        _ = try? second.finish()
    }

    @Test("A connection that waits too long for a place is closed")
    func waitTimeout() throws {
        // Its address has one place, and the handshake that has it does not end.
        let gate = ConnectionGate(.init(pending: 10, handshakes: 10, handshakesPerAddress: 1))
        let loop = EmbeddedEventLoop()
        let first = try self.channel(gate, loop: loop)
        let second = try self.channel(gate, loop: loop)
        for channel in [first, second] {
            try self.connect(channel)
            try self.say(channel, Self.hello)
        }
        loop.advanceTime(by: .milliseconds(9999))
        #expect(first.isActive && second.isActive)
        loop.advanceTime(by: .milliseconds(1))
        loop.run()
        #expect(first.isActive && !second.isActive)
        _ = try? first.finish()
    }

    @Test("The oldest silent connection is closed for a new one, and counted as dropped")
    func oldestSilentClosed() throws {
        let dropped = NIOLockedValueBox(0)
        let gate = ConnectionGate(.init(pending: 2, handshakes: 2)) { _, _ in dropped.withLockedValue { $0 += 1 } }
        let loop = EmbeddedEventLoop()
        let channels = try (0..<3).map { _ in try self.channel(gate, loop: loop) }
        for channel in channels {
            try self.connect(channel)
            loop.advanceTime(by: .milliseconds(300))
        }
        #expect(channels.map(\.isActive) == [false, true, true])
        #expect(gate.counts.silent == 2 && gate.counts.open == 2 && gate.dropped == 1)
        #expect(dropped.withLockedValue { $0 } == 1)
        for channel in channels { _ = try? channel.finish() }
    }

    @Test("A connection that cannot be set up is closed")
    func setUpFailure() throws {
        let channel = try self.channel(self.gate(), fails: true)
        try self.connect(channel)
        try self.say(channel, Self.hello)
        #expect(throws: Refusal.self) { try channel.throwIfErrorCaught() }
        #expect(!channel.isActive)
    }

    @Test("A connection whose input ends before its ClientHello is closed")
    func inputEndBeforeHello() throws {
        let channel = try self.channel(self.gate())
        try self.connect(channel)
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        channel.embeddedEventLoop.run()
        #expect(!channel.isActive)
    }

    /// The handler that would react to the event is not in the pipeline yet, and the server would wait for this
    /// connection.
    @Test("A server that stops closes a connection that is not set up yet")
    func serverStops() throws {
        let channel = try self.channel(self.gate())
        channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        channel.embeddedEventLoop.run()
        try channel.closeFuture.wait()
        #expect(self.asked.withLockedValue { $0 }.isEmpty)
    }
}
