// SPDX-License-Identifier: Apache-2.0

import EventLoopScheduling
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import NIOExtras
import NIOTLS
import Notifications
import Testing

@testable import ConductorRPC

/// An admission with scripted rate limiters, which counts the connections that it admitted and those that have ended.
final class ScriptedAdmission: RPCAdmission {
    struct State {
        var refusal: RPCError?
        var waits: [TimeAmount] = []
        var pauseEnd: NIODeadline?
        var pausesAfterRefusal = false
        var requests = 0
        var bytes = 0
        var admitted = 0
        var left = 0
        var close: (@Sendable (RPCError) -> Void)?
    }

    let state = NIOLockedValueBox(State())

    func admit(
        _ peer: RPCPeer, on eventLoop: any EventLoop, close: @escaping @Sendable (RPCError) -> Void
    ) -> Result<any RPCPeerRateLimiter, RPCError> {
        self.state.withLockedValue { state in
            state.close = close
            if let refusal = state.refusal { return .failure(refusal) }
            state.admitted += 1
            return .success(Share(state: self.state))
        }
    }

    private struct Share: RPCPeerRateLimiter {
        let state: NIOLockedValueBox<State>

        func chargeRequest(now: NIODeadline) -> TimeAmount? {
            self.state.withLockedValue { state in
                state.requests += 1
                guard !state.waits.isEmpty else { return nil }
                if state.pausesAfterRefusal { state.pauseEnd = now + .seconds(1) }
                return state.waits.removeFirst()
            }
        }

        func chargeReceived(bytes: Int, now: NIODeadline) { self.state.withLockedValue { $0.bytes += bytes } }
        func chargePublished(bytes: Int, now: NIODeadline) { self.state.withLockedValue { $0.bytes += bytes } }

        func pause(now: NIODeadline) -> TimeAmount? {
            self.state.withLockedValue { state in state.pauseEnd.flatMap { now < $0 ? $0 - now : nil } }
        }

        func hasExhaustedRejections(now: NIODeadline) -> Bool { self.pause(now: now) != nil }
        func connectionEnded(now: NIODeadline) { self.state.withLockedValue { $0.left += 1 } }
    }
}

@Suite struct RPCServerHandlerLimitTests {
    private let requests = HeldRequests()
    private let admission = ScriptedAdmission()
    private let turns = ConnectionScheduler()

    private func channel(
        bufferedInput: BufferedInputLimiter? = nil, loop: EmbeddedEventLoop? = nil,
        _ configure: (inout RPCServerHandler.Configuration) -> Void = { _ in }
    ) throws -> EmbeddedChannel {
        var configuration = RPCServerHandler.Configuration()
        configuration.idleTimeout = .seconds(100)
        configuration.lineTimeout = .seconds(10)
        configuration.drainTimeout = .seconds(5)
        configure(&configuration)
        let handler = RPCServerHandler(
            configuration: configuration, requestHandler: self.requests, admission: self.admission,
            turns: self.turns, bufferedInput: bufferedInput, logger: Logger(label: "test"))
        let channel = EmbeddedChannel(handler: handler, loop: loop ?? EmbeddedEventLoop())
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1)).wait()
        channel.pipeline.fireUserInboundEventTriggered(TLSUserEvent.handshakeCompleted(negotiatedProtocol: nil))
        return channel
    }

    private func ping(_ id: Int) -> ByteBuffer {
        ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(id),"method":"ping"}"# + "\n")
    }

    private func pings(_ ids: ClosedRange<Int>) -> ByteBuffer {
        ids.reduce(into: ByteBuffer()) { $0.writeImmutableBuffer(self.ping($1)) }
    }

    private func answers(_ channel: EmbeddedChannel) throws -> [String] {
        channel.embeddedEventLoop.run()
        return try self.written(channel)
    }

    private func written(_ channel: EmbeddedChannel) throws -> [String] {
        var lines: [String] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) {
            lines += String(buffer: buffer).split(separator: "\n").map(String.init)
        }
        return lines
    }

    // MARK: Admission

    @Test("A connection that is not admitted is answered with the reason and closed")
    func notAdmitted() throws {
        self.admission.state.withLockedValue {
            $0.refusal = RPCError(.rateLimited, "Too many", retryAfterMilliseconds: 7)
        }
        let channel = try self.channel()
        #expect(!channel.isActive)
        let lines = try self.written(channel)
        #expect(lines.count == 1)
        #expect(lines.first?.contains(#""id":null"#) == true && lines.first?.contains(#""retry_after_ms":7"#) == true)
        // It was not admitted, so its end is not recorded.
        #expect(self.admission.state.withLockedValue { $0.left } == 0)
    }

    /// Another guest is served instead of this one: its accepted requests are answered, and it receives the reason.
    @Test("A connection that is closed for another guest gets the reason and its answers first")
    func closedForAnother() throws {
        let channel = try self.channel()
        try channel.writeInbound(self.ping(1))
        let close = try #require(self.admission.state.withLockedValue { $0.close })
        close(RPCError(.rateLimited, "Too many", retryAfterMilliseconds: 7))
        let refusal = try self.answers(channel)
        #expect(refusal.count == 1 && refusal.first?.contains(#""retry_after_ms":7"#) == true)
        #expect(channel.isActive)
        self.requests.answerFirst()
        let answers = try self.answers(channel)
        #expect(answers.count == 1 && answers.first?.contains(#""id":1"#) == true)
        #expect(!channel.isActive)
        // Closing it once more has no effect.
        close(RPCError(.rateLimited, "Too many"))
        channel.embeddedEventLoop.run()
        #expect(self.admission.state.withLockedValue { $0.left } == 1)
    }

    @Test("A connection that is closed for another guest waits at most 5 seconds for its answers")
    func answerTimeout() throws {
        let channel = try self.channel { $0.drainTimeout = .seconds(100) }
        try channel.writeInbound(self.ping(1))
        let close = try #require(self.admission.state.withLockedValue { $0.close })
        close(RPCError(.rateLimited, "Too many"))
        channel.embeddedEventLoop.run()
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(4999))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        channel.embeddedEventLoop.run()
        #expect(!channel.isActive)
    }

    // MARK: Blank lines

    @Test("Blank lines count against the rate limit")
    func blankLines() throws {
        let channel = try self.channel()
        try channel.writeInbound(ByteBuffer(string: "\n \t\r\n\n"))
        #expect(self.admission.state.withLockedValue { $0.requests } == 3)
        #expect(try self.answers(channel).isEmpty)
        _ = try channel.finish()
    }

    @Test("Blank lines beyond the rate limit close the connection once requests are answered")
    func blankLinesOverLimit() throws {
        let channel = try self.channel()
        try channel.writeInbound(self.ping(1))
        self.admission.state.withLockedValue { ($0.waits, $0.pausesAfterRefusal) = ([.milliseconds(40)], true) }
        try channel.writeInbound(ByteBuffer(string: "\n\n\n" + String(buffer: self.ping(2))))
        // The rest is not processed, and requests that were accepted before are answered.
        #expect(self.admission.state.withLockedValue { $0.requests } == 2)
        #expect(self.requests.count == 1)
        let refusal = try self.answers(channel)
        #expect(refusal.count == 1 && refusal.first?.contains(#""retry_after_ms":42"#) == true)
        self.requests.answerFirst()
        #expect(try self.answers(channel).count == 1)
        #expect(!channel.isActive)
    }

    @Test("Blank lines close no connection while its limit for rejections is not reached")
    func blankLinesWhileRejecting() throws {
        let channel = try self.channel()
        self.admission.state.withLockedValue { $0.waits = [.milliseconds(40), .milliseconds(50)] }
        try channel.writeInbound(ByteBuffer(string: "\n\n" + String(buffer: self.ping(2))))
        #expect(self.admission.state.withLockedValue { $0.requests } == 3 && self.requests.count == 1)
        _ = try channel.finish()
    }

    // MARK: Buffered input

    @Test("The connection that buffers the most input is closed, and the others continue")
    func largestInputClosed() throws {
        let loop = EmbeddedEventLoop()
        let input = BufferedInputLimiter(limit: 1000)
        let channels = try (0..<3).map { _ in try self.channel(bufferedInput: input, loop: loop) }
        try channels[0].writeInbound(ByteBuffer(string: "{"))
        try channels[1].writeInbound(ByteBuffer(repeating: 0x61, count: 600))
        #expect(input.total == 601)
        try channels[2].writeInbound(ByteBuffer(repeating: 0x61, count: 399))
        #expect(input.total == 1000)
        // The one that holds the most is closed, not the one that sends more.
        try channels[2].writeInbound(ByteBuffer(string: "a"))
        loop.run()
        #expect(channels.map(\.isActive) == [true, false, true])
        let lines = try self.written(channels[1])
        #expect(lines.count == 1 && lines.first?.contains("limits.buffered_input") == true)
        #expect(input.total == 401 && input.closed == 1)
        // A line that ends releases the input that it held, and so does a connection.
        try channels[2].writeInbound(ByteBuffer(string: "\n"))
        #expect(input.total == 1)
        _ = try channels[0].finish()
        #expect(input.total == 0)
        _ = try? channels[2].finish()
    }

    @Test("The end of an admitted connection is recorded once")
    func endRecordedOnce() throws {
        let channel = try self.channel()
        #expect(self.admission.state.withLockedValue { $0.admitted } == 1)
        _ = try channel.finish()
        #expect(self.admission.state.withLockedValue { $0.left } == 1)
    }

    // MARK: Rate limits

    @Test("A request beyond the rate limit is answered under its id with a time to retry after")
    func overRateLimit() throws {
        let channel = try self.channel()
        self.admission.state.withLockedValue { $0.waits = [.milliseconds(1500), .milliseconds(20)] }
        try channel.writeInbound(self.pings(4...6))
        #expect(self.requests.count == 1)
        let lines = try self.answers(channel)
        #expect(lines.count == 2)
        #expect(lines.first?.contains(#""id":4,"error":{"code":-32005"#) == true)
        // The time is longer than the wait, so that rounding rejects no request twice.
        #expect(lines.first?.contains(#""retry_after_ms":1502"#) == true)
        #expect(lines.last?.contains(#""retry_after_ms":22"#) == true)
        #expect(self.requests.rejections.withLockedValue { $0 } == [.rateLimited, .rateLimited])
        _ = try channel.finish()
    }

    @Test("A line that is too long counts against the rate limit as a request")
    func tooLongLineCounts() throws {
        let channel = try self.channel { $0.maximumLineLength = 100 }
        for _ in 1...3 { try channel.writeInbound(ByteBuffer(string: String(repeating: "x", count: 101) + "\n")) }
        try channel.writeInbound(self.ping(1))
        #expect(self.admission.state.withLockedValue { $0.requests } == 4)
        _ = try channel.finish()
    }

    @Test("A line that is not a request gets a parse error also beyond the rate limit")
    func malformedOverLimit() throws {
        let channel = try self.channel()
        self.admission.state.withLockedValue { $0.waits = [.seconds(1)] }
        try channel.writeInbound(ByteBuffer(string: "nonsense\n"))
        #expect(try self.answers(channel).first?.contains("-32700") == true)
        _ = try channel.finish()
    }

    @Test("Requests of a paused guest are not processed until the pause ends")
    func pausedGuest() throws {
        let channel = try self.channel()
        let now = channel.embeddedEventLoop.now
        self.admission.state.withLockedValue { $0.pauseEnd = now + .seconds(3) }
        let burst = self.pings(1...5)
        try channel.writeInbound(burst)
        #expect(self.admission.state.withLockedValue { $0.bytes } == burst.readableBytes)
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(2999))
        #expect(self.requests.count == 0)
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(self.requests.count == 5)
        _ = try channel.finish()
    }

    @Test("A pause that ends after the connection has closed has no effect")
    func pauseAfterClose() throws {
        let channel = try self.channel()
        let now = channel.embeddedEventLoop.now
        self.admission.state.withLockedValue { $0.pauseEnd = now + .seconds(3) }
        try channel.writeInbound(self.ping(1))
        _ = try channel.finish()
        channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        #expect(self.requests.count == 0)
    }

    /// However much input a connection has, other connections of the event loop have their turns in between. So do
    /// those whose requests are still in their sockets: an event loop reads sockets only when nothing is due.
    @Test("A connection processes at most 16 requests in a turn")
    func requestsPerTurn() throws {
        let channel = try self.channel()
        try channel.writeInbound(self.pings(1...40))
        #expect(self.requests.count == 16)
        for taken in [32, 40] {
            let before = self.requests.count
            channel.embeddedEventLoop.run()
            #expect(self.requests.count == before)
            channel.embeddedEventLoop.advanceTime(by: ConnectionScheduler.pause)
            #expect(self.requests.count == taken)
        }
        _ = try channel.finish()
    }

    /// Connections that send little go before those that send much.
    @Test("A short request does not wait for a turn, and a long one does")
    func shortBeforeLong() throws {
        let channel = try self.channel()
        // The turn of another connection of this event loop.
        try #require(self.turns.takeNow(on: channel.eventLoop))
        try channel.writeInbound(self.ping(1))
        #expect(self.requests.count == 1)
        try channel.writeInbound(
            ByteBuffer(string: String(repeating: " ", count: 16_400) + String(buffer: self.ping(2))))
        #expect(self.requests.count == 1)
        channel.embeddedEventLoop.advanceTime(by: ConnectionScheduler.pause)
        #expect(self.requests.count == 2)
        _ = try channel.finish()
    }

    @Test("Empty lines use up a turn as requests do, and each long line takes a turn")
    func emptyAndLongLines() throws {
        let channel = try self.channel()
        try channel.writeInbound(ByteBuffer(string: String(repeating: "\n", count: 16)))
        try channel.writeInbound(self.ping(9))
        #expect(self.requests.count == 1)
        try channel.writeInbound(ByteBuffer(string: String(repeating: "\n", count: 16) + String(buffer: self.ping(9))))
        #expect(self.requests.count == 1)
        channel.embeddedEventLoop.advanceTime(by: ConnectionScheduler.pause)
        #expect(self.requests.count == 2)
        // The pause after that turn.
        channel.embeddedEventLoop.advanceTime(by: ConnectionScheduler.pause)
        var long = ByteBuffer()
        for id in 1...3 {
            long.writeString(String(repeating: " ", count: 100_000))
            long.writeImmutableBuffer(self.ping(id))
        }
        try channel.writeInbound(long)
        for taken in 3...5 {
            #expect(self.requests.count == taken)
            channel.embeddedEventLoop.advanceTime(by: ConnectionScheduler.pause)
        }
        _ = try channel.finish()
    }

    // MARK: Deadlines

    @Test("An idle connection is closed at its deadline, unless a request is in flight")
    func idleTimeout() throws {
        let channel = try self.channel()
        channel.embeddedEventLoop.advanceTime(by: .seconds(60))
        try channel.writeInbound(self.ping(1))
        channel.embeddedEventLoop.advanceTime(by: .seconds(200))
        // A request is in flight: this side causes the silence.
        #expect(channel.isActive)
        self.requests.answerFirst()
        #expect(try self.answers(channel).count == 1)
        channel.embeddedEventLoop.advanceTime(by: .seconds(99))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(101))
        #expect(!channel.isActive)
        // No error is sent: nothing is wrong with the connection.
        #expect(try self.written(channel).isEmpty)
    }

    @Test("A line that does not end in time closes the connection once all is answered")
    func unfinishedLine() throws {
        let channel = try self.channel()
        try channel.writeInbound(self.ping(1))
        for _ in 1...9 {
            try channel.writeInbound(ByteBuffer(string: " "))
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        }
        #expect(try self.written(channel).isEmpty)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(try self.written(channel).first?.contains("-32007") == true)
        #expect(channel.isActive)
        // Its end arrives too late.
        try channel.writeInbound(self.ping(2))
        #expect(self.requests.count == 1)
        self.requests.answerFirst()
        #expect(try self.answers(channel).count == 1)
        #expect(!channel.isActive)
    }

    /// The turns of other connections do not extend its time.
    @Test("A line that waits for its turn must end in time too")
    func unfinishedLineInTurn() throws {
        let channel = try self.channel()
        try channel.writeInbound(ByteBuffer(repeating: 0x20, count: 16_500))
        for _ in 1...10 {
            #expect(try self.written(channel).isEmpty)
            channel.embeddedEventLoop.advanceTime(by: .milliseconds(999))
            try #require(self.turns.takeNow(on: channel.eventLoop))
            try channel.writeInbound(ByteBuffer(string: " "))
            channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        }
        #expect(try self.written(channel).first?.contains("-32007") == true)
        #expect(!channel.isActive)
    }

    @Test("A line that is too long must end in time too")
    func unfinishedTooLongLine() throws {
        let channel = try self.channel { $0.maximumLineLength = 100 }
        for _ in 1...10 {
            #expect(channel.isActive)
            try channel.writeInbound(ByteBuffer(repeating: 0x78, count: 100))
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        }
        #expect(!channel.isActive)
        let lines = try self.written(channel)
        #expect(lines.contains { $0.contains("-32004") } && lines.last?.contains("-32007") == true)
    }

    @Test("The time limit applies to each line separately")
    func timePerLine() throws {
        let channel = try self.channel()
        // Each read ends within the next line.
        try channel.writeInbound(ByteBuffer(string: #"{"jsonrpc":"2.0","#))
        for id in 1...30 {
            channel.embeddedEventLoop.advanceTime(by: .seconds(6))
            try channel.writeInbound(
                ByteBuffer(string: #""id":\#(id),"method":"ping"}"# + "\n" + #"{"jsonrpc":"2.0","#))
            self.requests.answerFirst()
            #expect(try self.answers(channel).count == 1)
        }
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        #expect(!channel.isActive)
    }

    /// While the window is full, it is not the peer that keeps a line from ending.
    @Test("An unfinished line has no deadline while the window is full")
    func fullWindow() throws {
        let channel = try self.channel { $0.window = 1 }
        try channel.writeInbound(self.ping(1))
        try channel.writeInbound(ByteBuffer(string: #"{"jsonrpc":"2.0","#))
        channel.embeddedEventLoop.advanceTime(by: .seconds(60))
        #expect(channel.isActive)
        self.requests.answerFirst()
        #expect(try self.answers(channel).count == 1)
        channel.embeddedEventLoop.advanceTime(by: .seconds(9))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
    }

    /// A peer that does not read its answers cannot keep a connection open without limit.
    @Test("A connection whose peer does not read its answers is closed as an idle one is")
    func unreadAnswers() throws {
        let channel = try self.channel()
        channel.isWritable = false
        channel.pipeline.fireChannelWritabilityChanged()
        channel.embeddedEventLoop.advanceTime(by: .seconds(100))
        #expect(!channel.isActive)
    }
}
