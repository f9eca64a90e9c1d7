// SPDX-License-Identifier: Apache-2.0

import EventLoopTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import TLSChannel

/// A server that runs its handshake steps in the background.
@Suite(.timeLimit(.minutes(2)))
struct HandshakeStepTests {
    private let pair: ChannelPair
    private let work = HeldWork()
    private let counter = OutboundCounter()

    init() throws {
        self.pair = try ChannelPair(TestIdentities(), background: self.work)
        try self.pair.server.pipeline.syncOperations.addHandler(self.counter, position: .first)
    }

    /// Whether the server has sent anything.
    private var hasAnswered: Bool { self.counter.writes.contains { $0.readableBytes > 0 } }

    /// Connects and sends the ClientHello, so that its step is in progress.
    private func sayHello() throws {
        try self.pair.connect()
        try ChannelPair.carry(self.pair.client, self.pair.server)
        #expect(self.work.count == 1)
        #expect(!self.hasAnswered)
    }

    private func finishStep() {
        self.work.release()
        self.pair.server.embeddedEventLoop.run()
    }

    @Test("Both handshake steps of a server run in the background")
    func stepsInBackground() throws {
        try self.sayHello()
        self.pair.server.embeddedEventLoop.run()
        #expect(!self.hasAnswered)
        self.finishStep()
        #expect(self.hasAnswered)
        // Data that arrives with the client's last flight is not lost.
        self.pair.client.writeAndFlush(ByteBuffer(string: "hello"), promise: nil)
        try self.pair.pump()
        #expect(self.work.count == 1)
        #expect(self.pair.serverLog.events == ["active"])
        self.finishStep()
        #expect(
            self.pair.serverLog.events == ["active", "handshake conductor-rpc/1", "read 5", "readComplete"])
        #expect(self.pair.serverLog.errors.isEmpty)
    }

    /// The step owns the engine, so input that arrives during the step is kept for a step of its own.
    @Test("Input that arrives during a step is kept, and starts another step")
    func inputDuringStep() throws {
        try self.pair.connect()
        let hello = try #require(try self.pair.client.readOutbound(as: ByteBuffer.self))
        let beginning = try #require(hello.getSlice(at: 0, length: 40))
        let rest = try #require(hello.getSlice(at: 40, length: hello.readableBytes - 40))
        self.pair.server.pipeline.fireChannelRead(beginning)
        self.pair.server.pipeline.fireChannelRead(rest)
        #expect(self.pair.serverTLS.engine.undecryptedBytes == 40)
        self.finishStep()
        #expect(!self.hasAnswered)
        #expect(self.work.count == 1)
        self.finishStep()
        #expect(self.hasAnswered)
    }

    /// The peer waits for an answer, so input is unlikely, and to stop reading costs two system calls. Once input has
    /// arrived nevertheless, no more is read.
    @Test("Reading continues during the first step until input arrives")
    func readsDuringFirstStep() throws {
        try self.sayHello()
        let reads = self.counter.reads
        self.pair.server.read()
        #expect(self.counter.reads == reads + 1)
        self.pair.server.pipeline.fireChannelRead(ByteBuffer(repeating: 0x16, count: 5))
        self.pair.server.pipeline.fireChannelReadComplete()
        self.pair.server.read()
        #expect(self.counter.reads == reads + 1)
        self.finishStep()
        #expect(self.counter.reads == reads + 1)
        self.finishStep()
        #expect(self.counter.reads == reads + 2)
    }

    /// Requests may follow at once, and are read when they can be accepted.
    @Test("Nothing is read during the last step")
    func readsDuringLastStep() throws {
        try self.sayHello()
        self.finishStep()
        try self.pair.pump()
        #expect(self.work.count == 1)
        let reads = self.counter.reads
        self.pair.server.read()
        self.pair.server.pipeline.fireChannelReadComplete()
        #expect(self.counter.reads == reads)
        self.finishStep()
        #expect(self.counter.reads == reads + 1)
    }

    /// Otherwise all handshakes that begin at the same time would complete only at the end.
    @Test("The last step is submitted as a continuation, which goes before first steps")
    func lastStepFirst() throws {
        try self.sayHello()
        #expect(self.work.continuations == 0)
        self.finishStep()
        try self.pair.pump()
        #expect(self.work.continuations == 1)
    }

    /// A last flight in many pieces makes many steps, and other handshakes must not wait for them.
    @Test("Only one step of a handshake is submitted as a continuation")
    func oneContinuation() throws {
        try self.sayHello()
        self.finishStep()
        try ChannelPair.carry(self.pair.server, self.pair.client)
        let flight = try #require(try self.pair.client.readOutbound(as: ByteBuffer.self))
        for (piece, continuations) in [(0..<100, 1), (100..<200, 0), (200..<flight.readableBytes, 0)] {
            self.pair.server.pipeline.fireChannelRead(
                try #require(flight.getSlice(at: flight.readerIndex + piece.lowerBound, length: piece.count)))
            #expect(self.work.count == 1)
            #expect(self.work.continuations == continuations)
            self.finishStep()
        }
    }

    @Test("Too much input during a step fails the handshake")
    func inputFlood() throws {
        try self.sayHello()
        for _ in 0..<6 {
            self.pair.server.pipeline.fireChannelRead(ByteBuffer(repeating: 0x16, count: 16_384))
        }
        #expect(self.pair.serverLog.errors.map(\.code) == [.handshakeFailed])
        #expect(self.pair.serverTLS.heldInput.readableBytes == 0)
        self.finishStep()
        #expect(self.pair.serverLog.errors.count == 1)
        #expect(!self.pair.server.isActive)
    }

    /// The step continues, and its result is ignored.
    @Test("The handshake's deadline does not wait for a step")
    func deadlineDuringStep() throws {
        try self.sayHello()
        self.pair.server.embeddedEventLoop.advanceTime(by: .seconds(10))
        #expect(self.pair.serverLog.errors.map(\.code) == [.handshakeTimedOut])
        // The wait was not for the peer.
        #expect(self.pair.serverLog.errors.first?.message.contains("this side") == true)
        #expect(!self.pair.server.isActive)
        self.finishStep()
        #expect(self.pair.serverLog.errors.count == 1)
    }

    @Test("A close does not wait for a step")
    func closeDuringStep() throws {
        try self.sayHello()
        let closed = self.pair.server.close()
        #expect(!self.pair.server.isActive)
        self.finishStep()
        try closed.wait()
        #expect(self.pair.serverLog.errors.isEmpty)
    }

    @Test("No step runs for a peer that has disconnected")
    func peerDisconnected() throws {
        try self.sayHello()
        ChannelPair.cut(self.pair.server)
        self.finishStep()
        #expect(!self.hasAnswered)
        #expect(self.pair.serverLog.errors.map(\.code) == [.handshakeFailed])
        #expect(self.pair.serverTLS.engine.undecryptedBytes > 0)
    }

    /// Before the server has sent its flight, no input of a peer completes a handshake.
    @Test("No step runs for a peer whose input ends after its ClientHello")
    func inputEndAfterHello() throws {
        try self.sayHello()
        self.pair.server.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(self.pair.serverLog.errors.map(\.code) == [.handshakeFailed])
        self.finishStep()
        #expect(!self.pair.server.isActive)
        #expect(!self.hasAnswered)
        #expect(self.pair.serverTLS.engine.undecryptedBytes > 0)
    }

    /// A peer may send data and disconnect without waiting.
    @Test("Data that arrived before the end of input is still delivered")
    func inputEndAfterData() throws {
        try self.sayHello()
        self.finishStep()
        self.pair.client.writeAndFlush(ByteBuffer(string: "good-bye"), promise: nil)
        try ChannelPair.carry(self.pair.server, self.pair.client)
        try ChannelPair.carry(self.pair.client, self.pair.server)
        self.pair.server.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(self.pair.serverLog.events == ["active"])
        self.finishStep()
        #expect(
            self.pair.serverLog.events == [
                "active", "handshake conductor-rpc/1", "read 8", "readComplete", "error truncated", "inactive",
            ])
    }
}
