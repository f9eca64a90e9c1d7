// SPDX-License-Identifier: Apache-2.0

import ConductorService
import NIOCore
import RandomTesting
import Testing

@Suite struct RateLimitedWarningStateMachineTests {
    private let start = NIODeadline.uptimeNanoseconds(7)

    @Test("The first event is logged at once, and later ones once an interval")
    func firstAndLaterEvents() {
        var notice = RateLimitedWarningStateMachine(interval: .seconds(60))
        func record(_ seconds: Int64) -> RateLimitedWarningStateMachine.Action {
            notice.record(now: self.start + .seconds(seconds))
        }
        func due(_ seconds: Int64) -> Int { notice.due(now: self.start + .seconds(seconds)) }
        #expect(record(0) == .write)
        #expect(record(1) == .callLater(self.start + .seconds(60)))
        for second in 2...59 { #expect(record(Int64(second)) == .none) }
        // The call may be a little late.
        #expect(record(60) == .none)
        #expect(due(61) == 60)
        #expect(record(62) == .callLater(self.start + .seconds(121)))
        #expect(due(121) == 1)
        // After a quiet interval, an event is the first again.
        #expect(record(182) == .write)
    }

    @Test("Every event is logged exactly once, in at most one line an interval", arguments: 0..<50 as Range<UInt64>)
    func everyEventOnce(seed: UInt64) {
        var random = Seeded(seed)
        var notice = RateLimitedWarningStateMachine(interval: .seconds(10))
        var now = self.start
        var (happened, written, lines) = (0, 0, 0)
        var call: NIODeadline?
        for _ in 0..<1000 {
            now = now + .milliseconds(Int64.random(in: 0...3000, using: &random))
            if let time = call, time <= now {
                call = nil
                written += notice.due(now: now)
                lines += 1
            }
            happened += 1
            switch notice.record(now: now) {
            case .write:
                written += 1
                lines += 1
            case .callLater(let time):
                #expect(call == nil)
                call = time
            case .none: #expect(call != nil)
            }
        }
        if call != nil { written += notice.due(now: now) }
        #expect(written == happened)
        #expect(lines <= Int((now - self.start).nanoseconds / 10_000_000_000) + 2)
    }
}
