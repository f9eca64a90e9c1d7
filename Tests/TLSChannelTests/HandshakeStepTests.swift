// SPDX-License-Identifier: Apache-2.0

import EventLoopTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import TLSChannel

/// A server whose handshakes are taken in the background.
@Suite(.timeLimit(.minutes(2)))
struct HandshakeStepTests {
    private let pair: ChannelPair
    private let work = HeldWork()
    private let counter = OutboundCounter()

    init() throws {
        self.pair = try ChannelPair(TestIdentities(), background: self.work)
        try self.pair.server.pipeline.syncOperations.addHandler(self.counter, position: .first)
    }

    /// Whether the server has spoken.
    private var hasAnswered: Bool { self.counter.writes.contains { $0.readableBytes > 0 } }

    /// The step that the client's hello calls for is under way.
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

    @Test func bothStepsAreTakenThere() throws {
        try self.sayHello()
        self.pair.server.embeddedEventLoop.run()
        #expect(!self.hasAnswered)
        self.finishStep()
        #expect(self.hasAnswered)
        // Data that comes with the client's last flight is not forgotten.
        self.pair.client.writeAndFlush(ByteBuffer(string: "hello"), promise: nil)
        try self.pair.pump()
        #expect(self.work.count == 1)
        #expect(self.pair.serverLog.events == ["active"])
        self.finishStep()
        #expect(
            self.pair.serverLog.events == ["active", "handshake conductor-rpc/1", "read 5", "readComplete"])
        #expect(self.pair.serverLog.errors.isEmpty)
    }

    /// The engine is the step's: what comes amid it is kept, and makes a step of its own.
    @Test func whatComesAmidAStepIsKept() throws {
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

    /// The peer waits for an answer: to stop reading for nothing costs two system calls. What comes all the same is the last
    /// that is read.
    @Test func readingGoesOnAmidTheFirstStepUntilSomethingComes() throws {
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

    /// Requests may follow at once, and are read when they can be taken.
    @Test func nothingIsReadAmidTheLastStep() throws {
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

    /// Else all who come at once would be done at the end.
    @Test func theLastStepGoesBeforeFirstOnes() throws {
        try self.sayHello()
        #expect(self.work.continuations == 0)
        self.finishStep()
        try self.pair.pump()
        #expect(self.work.continuations == 1)
    }

    /// A last flight in many pieces makes many steps, for which nobody else shall wait.
    @Test func nobodyGoesFirstTwice() throws {
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

    @Test func aFloodIsRefused() throws {
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

    /// The step goes on, and nobody heeds it.
    @Test func theDeadlineDoesNotWaitForAStep() throws {
        try self.sayHello()
        self.pair.server.embeddedEventLoop.advanceTime(by: .seconds(10))
        #expect(self.pair.serverLog.errors.map(\.code) == [.handshakeTimedOut])
        // It is not the peer that was waited for.
        #expect(self.pair.serverLog.errors.first?.message.contains("this side") == true)
        #expect(!self.pair.server.isActive)
        self.finishStep()
        #expect(self.pair.serverLog.errors.count == 1)
    }

    @Test func aCloseDoesNotWaitForAStep() throws {
        try self.sayHello()
        let closed = self.pair.server.close()
        #expect(!self.pair.server.isActive)
        self.finishStep()
        try closed.wait()
        #expect(self.pair.serverLog.errors.isEmpty)
    }

    @Test func whoHasGoneTakesNoStep() throws {
        try self.sayHello()
        ChannelPair.cut(self.pair.server)
        self.finishStep()
        #expect(!self.hasAnswered)
        #expect(self.pair.serverLog.errors.map(\.code) == [.handshakeFailed])
        #expect(self.pair.serverTLS.engine.undecryptedBytes > 0)
    }

    /// Before the server's flight is out nothing that a peer has said completes a handshake.
    @Test func whoSaysHelloAndLeavesTakesNoStep() throws {
        try self.sayHello()
        self.pair.server.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(self.pair.serverLog.errors.map(\.code) == [.handshakeFailed])
        self.finishStep()
        #expect(!self.pair.server.isActive)
        #expect(!self.hasAnswered)
        #expect(self.pair.serverTLS.engine.undecryptedBytes > 0)
    }

    /// A peer that says something and leaves without waiting has said it.
    @Test func theEndWaitsForWhatWasSaidBeforeIt() throws {
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
