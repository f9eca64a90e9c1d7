// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Testing
import Timing

@Suite struct DurationConversionTests {
    @Test("Durations convert to milliseconds and to a timeval, within limits")
    func millisecondsAndTimeval() {
        #expect(Duration.milliseconds(1500).wholeMilliseconds == 1500)
        #expect(Duration.microseconds(-1500).wholeMilliseconds == -1)
        #expect(Duration.seconds(Int64.max).wholeMilliseconds == 2_000_000_000)
        #expect(Duration.milliseconds(1500).timeval.tv_sec == 1)
        #expect(Duration.milliseconds(1500).timeval.tv_usec == 500_000)
        #expect(Duration.seconds(-5).timeval.tv_sec == 0)
    }

    @Test("The timeout of poll is rounded up, at most a minute, and never negative")
    func pollTimeout() {
        #expect(Duration.microseconds(1).pollTimeout == 1)
        #expect(Duration.microseconds(1500).pollTimeout == 2)
        #expect(Duration.seconds(Int64.max).pollTimeout == 60_000)
        #expect(Duration.seconds(-5).pollTimeout == 0)
    }

    @Test("The interval for Dispatch is exact, and has no end where it would overflow")
    func dispatchInterval() {
        #expect(Duration.milliseconds(1500).dispatchInterval == .nanoseconds(1_500_000_000))
        #expect(Duration.seconds(Int64.max).dispatchInterval == .never)
    }
}
