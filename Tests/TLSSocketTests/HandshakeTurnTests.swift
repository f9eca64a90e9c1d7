import EventLoopTurns
import NIOCore
import NIOEmbedded
import Testing

@testable import TLSSocket

/// Handshakes that come while others are at it.
@Suite(.timeLimit(.minutes(2)))
struct HandshakeTurnTests {
    private let pair: ChannelPair
    private let turns = ConnectionTurns()
    private let counter = OutboundCounter()

    init() throws {
        self.pair = try ChannelPair(TestIdentities(), handshakeTurns: self.turns)
        try self.pair.server.pipeline.syncOperations.addHandler(self.counter, position: .first)
    }

    private var eventLoop: EmbeddedEventLoop { self.pair.server.embeddedEventLoop }
    /// Whether the server has spoken.
    private var hasAnswered: Bool { !self.counter.writes.isEmpty }

    /// The client has said hello while another handshake has its turn.
    private func sayHello() throws {
        try #require(self.turns.takeNow(on: self.eventLoop))
        try self.pair.connect()
        try ChannelPair.carry(self.pair.client, self.pair.server)
        #expect(!self.hasAnswered)
    }

    @Test func aStepWaitsForItsTurn() throws {
        try self.sayHello()
        self.eventLoop.run()
        #expect(!self.hasAnswered)
        self.eventLoop.advanceTime(by: ConnectionTurns.pause)
        #expect(self.hasAnswered)
        // The client's last flight waits too, and data that comes with it is not forgotten.
        self.pair.client.writeAndFlush(ByteBuffer(string: "hello"), promise: nil)
        try self.pair.pump()
        #expect(self.pair.serverLog.events == ["active"])
        self.eventLoop.advanceTime(by: ConnectionTurns.pause)
        #expect(
            self.pair.serverLog.events == ["active", "handshake conductor-rpc/1", "read 5", "readComplete"])
        #expect(self.pair.serverLog.errors.isEmpty)
    }

    @Test func nothingIsReadMeanwhile() throws {
        try self.sayHello()
        let reads = self.counter.reads
        self.pair.server.read()
        self.pair.server.pipeline.fireChannelReadComplete()
        #expect(self.counter.reads == reads)
        self.eventLoop.advanceTime(by: ConnectionTurns.pause)
        #expect(self.counter.reads == reads + 1)
    }

    /// What comes all the same, as at the end of a connection, is looked at before it piles up.
    @Test func aFloodIsRefusedBeforeItsTurn() throws {
        try self.sayHello()
        for _ in 0..<5 {
            self.pair.server.pipeline.fireChannelRead(ByteBuffer(repeating: 0x16, count: 16_384))
        }
        #expect(self.pair.serverLog.errors.count == 1)
        #expect(self.pair.serverTLS.engine.undecryptedBytes < 100_000)
        self.eventLoop.advanceTime(by: ConnectionTurns.pause)
        #expect(self.pair.serverLog.errors.count == 1)
    }

    @Test func whoHasGoneTakesNoTurn() throws {
        try self.sayHello()
        ChannelPair.cut(self.pair.server)
        self.eventLoop.advanceTime(by: ConnectionTurns.pause)
        #expect(!self.hasAnswered)
        #expect(self.pair.serverLog.errors.map(\.code) == [.handshakeFailed])
        #expect(self.turns.takeNow(on: self.eventLoop))
    }
}
