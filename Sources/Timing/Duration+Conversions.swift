// SPDX-License-Identifier: Apache-2.0

package import Dispatch
package import Glibc

extension Duration {
    /// The duration in milliseconds, rounded towards zero and limited to about 23 days.
    package var wholeMilliseconds: Int {
        let (seconds, attoseconds) = self.components
        return Int(max(min(seconds, 2_000_000), -2_000_000)) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
    }

    /// The duration as the timeout of poll(2): at most 60 seconds, never negative. It is rounded up: a deadline less than
    /// a millisecond away must not cause a busy loop.
    package var pollTimeout: Int32 { Int32(min(max(self.wholeMilliseconds + 1, 0), 60_000)) }

    /// The duration for C functions; never negative.
    package var timeval: timeval {
        let (seconds, attoseconds) = max(self, .zero).components
        return Glibc.timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
    }

    /// The interval for Dispatch; `never` for 2³² seconds or more.
    package var dispatchInterval: DispatchTimeInterval {
        let (seconds, attoseconds) = self.components
        guard seconds < 1 << 32 else { return .never }
        return .nanoseconds(Int(seconds) * 1_000_000_000 + Int(attoseconds / 1_000_000_000))
    }
}
