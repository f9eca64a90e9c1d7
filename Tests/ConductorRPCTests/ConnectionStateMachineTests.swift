// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Notifications
import Testing

@testable import ConductorRPC

@Suite struct ServerConnectionStateMachineTests {
    @Test("A full window holds reads back until a request is answered")
    func fullWindow() {
        var state = ServerConnectionStateMachine(window: 2)
        #expect(state.readRequested() == true)
        state.accepted()
        #expect(state.acceptsRequests)
        state.accepted()
        #expect(!state.acceptsRequests)
        #expect(state.readRequested() == false)
        #expect(state.takeHeldRead() == false)
        #expect(state.answered(1) == .resume)
        #expect(state.takeHeldRead() == true)
        #expect(state.takeHeldRead() == false)
    }

    @Test("A peer that does not read its answers is not read")
    func peerThatDoesNotRead() {
        var state = ServerConnectionStateMachine(window: 2)
        #expect(state.writabilityChanged(false) == .none)
        #expect(!state.acceptsRequests)
        #expect(state.readRequested() == false)
        #expect(state.writabilityChanged(true) == .resume)
        #expect(state.takeHeldRead() == true)
    }

    @Test("A draining connection accepts no requests, and closes once all are answered")
    func draining() {
        var state = ServerConnectionStateMachine(window: 2)
        state.accepted()
        state.accepted()
        #expect(state.drain() == .none)
        #expect(!state.acceptsRequests)
        #expect(state.readRequested() == false)
        #expect(state.answered(1) == .none)
        #expect(state.answered(1) == .close)
        #expect(state.drain() == .none)
        var idle = ServerConnectionStateMachine(window: 2)
        #expect(idle.drain() == .close)
        #expect(idle.drain() == .none)
    }

    @Test("Answers after the connection has closed have no effect")
    func answersAfterClose() {
        var state = ServerConnectionStateMachine(window: 2)
        state.accepted()
        state.closed()
        #expect(state.answered(1) == .none)
        #expect(state.drain() == .none)
    }
}

@Suite struct ClientConnectionStateMachineTests {
    private let reply = RPCResult.success(.pong(version: "1"))
    private let start = NIODeadline.uptimeNanoseconds(0)

    private func machine(sending lengths: [Int]) -> ClientConnectionStateMachine<String> {
        var state = ClientConnectionStateMachine<String>(timeout: .seconds(1))
        for (id, length) in lengths.enumerated() {
            #expect(state.sent(id: id, lineLength: length, completion: "call \(id)", now: self.start) == true)
        }
        return state
    }

    @Test("Answers in any order complete their own calls")
    func answersInAnyOrder() {
        var state = self.machine(sending: [1, 1, 1])
        for id in [2, 0, 1] {
            let answer = state.answered(.number(.init(id)), result: self.reply, now: self.start)
            guard case .complete("call \(id)") = answer else {
                Issue.record("answer \(id) met another call")
                return
            }
        }
        guard case .ignore = state.answered(.number(.init(1)), result: self.reply, now: self.start) else {
            Issue.record("a second answer was taken")
            return
        }
        #expect(state.inFlight == 0)
    }

    @Test("An error about a line that is too long rejects the call whose line exceeds the limit")
    func tooLongLine() {
        var state = self.machine(sending: [10, 50, 20])
        let error = RPCError(.tooLarge, "m", limitBytes: 30)
        guard case .fail(["call 1"]) = state.answered(.null, result: .failure(error), now: self.start) else {
            Issue.record("the wrong calls were refused")
            return
        }
        #expect(state.inFlight == 2)
    }

    @Test("An error without an id rejects a call only if it is the only one in flight")
    func errorWithoutID() {
        var state = self.machine(sending: [1, 1])
        let error = RPCResult.failure(RPCError(.parse, "m"))
        guard case .ignore = state.answered(.null, result: error, now: self.start) else {
            Issue.record("one of two calls was picked")
            return
        }
        _ = state.answered(.number(.init(0)), result: self.reply, now: self.start)
        guard case .fail(["call 1"]) = state.answered(.null, result: error, now: self.start) else {
            Issue.record("the call was not refused")
            return
        }
        #expect(state.inFlight == 0)
    }

    @Test("A call without an answer makes the connection overdue after the timeout")
    func unansweredCall() {
        var state = self.machine(sending: [1])
        #expect(state.exceededBound(now: self.start + .milliseconds(999)) == nil)
        #expect(state.exceededBound(now: self.start + .seconds(1)) == .seconds(1))
        _ = state.answered(.number(.init(0)), result: self.reply, now: self.start)
        #expect(state.exceededBound(now: self.start + .seconds(9)) == nil)
    }

    @Test("Each answer of a slow conductor restarts the timeout")
    func slowConductor() {
        var state = self.machine(sending: [1, 1, 1])
        // One answer every 0.9 s, as when large outcomes exceed a guest's rate limit.
        for id in [0, 1] {
            let now = self.start + .milliseconds(900) * Int64(id + 1)
            #expect(state.exceededBound(now: now) == nil)
            _ = state.answered(.number(.init(id)), result: self.reply, now: now)
        }
        #expect(state.exceededBound(now: self.start + .milliseconds(2799)) == nil)
        #expect(state.exceededBound(now: self.start + .milliseconds(2800)) == .seconds(1))
    }

    @Test("An answer without a matching call does not restart the timeout")
    func unknownAnswer() {
        var state = self.machine(sending: [1])
        _ = state.answered(.number(.init(7)), result: self.reply, now: self.start + .milliseconds(900))
        #expect(state.exceededBound(now: self.start + .seconds(1)) == .seconds(1))
    }

    @Test("One call without an answer makes the connection overdue although others are answered")
    func callNeverAnswered() {
        var state = self.machine(sending: [1])
        for id in 1...20 {
            let now = self.start + .milliseconds(500) * Int64(id)
            #expect(state.exceededBound(now: now) == (id >= 20 ? .seconds(10) : nil))
            _ = state.sent(id: id, lineLength: 1, completion: "call \(id)", now: now)
            _ = state.answered(.number(.init(id)), result: self.reply, now: now)
        }
    }

    @Test("A closed connection fails every call once, and accepts no more calls")
    func closedConnection() {
        var state = self.machine(sending: [1, 1])
        #expect(state.closed().sorted() == ["call 0", "call 1"])
        #expect(state.closed() == [])
        #expect(state.sent(id: 9, lineLength: 1, completion: "late", now: self.start) == false)
    }
}
