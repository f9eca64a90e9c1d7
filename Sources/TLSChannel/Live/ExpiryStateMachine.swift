// SPDX-License-Identifier: Apache-2.0

/// A state machine that decides when to warn of certificates and revocation lists that expire or are not valid yet. It
/// has no clock and no log.
///
/// It warns when 30 days, 7 days and 1 day are left, and after the end. The last warning before the end and the one
/// after it repeat once a day. A step counts only if it is at most a third of the validity; if none is (a certificate
/// of one day, a list of one hour), the only step before the end is at a quarter of the validity. Before the validity
/// begins it warns once.
package struct ExpiryStateMachine {
    /// A warning to log.
    package struct Warning: Sendable, Hashable {
        /// The certificate or revocation list that the warning is about.
        package let expiry: TLSExpiry
        /// The number of seconds until the end of the validity; negative after the end.
        package let remaining: Int64
        /// Whether the validity has ended.
        package var isExpired: Bool { self.remaining < 0 }
        /// Whether the validity has not begun.
        package var isEarly: Bool { self.expiry.isEarly(at: self.expiry.notAfter - self.remaining) }
    }

    private struct LastWarning {
        var step: Int
        var time: Int64
    }

    private static let day: Int64 = 86_400
    private static let early = -1
    private var lastWarnings: [TLSExpiry: LastWarning] = [:]

    /// Creates a state machine that has not returned any warning yet.
    package init() {}

    /// Returns the warnings that are due at `now`, in seconds since 1970. It returns each warning once, except for
    /// those that repeat daily.
    package mutating func dueWarnings(_ expiries: [TLSExpiry], now: Int64) -> [Warning] {
        // Remove the entries of what was replaced.
        let present = Set(expiries)
        self.lastWarnings = self.lastWarnings.filter { present.contains($0.key) }
        var notices: [Warning] = []
        // A file may hold the same certificate twice; `lastWarnings` suppresses the second warning.
        for expiry in expiries {
            let remaining = expiry.notAfter - now
            let steps = Self.steps(expiry)
            let step =
                if expiry.isEarly(at: now) {
                    Self.early
                } else {
                    remaining < 0 ? steps.count + 1 : steps.count { remaining <= $0 }
                }
            // The clock was wrong then or is wrong now, so the earlier warning must not suppress this one.
            if let last = self.lastWarnings[expiry], last.time > now || last.step > step {
                self.lastWarnings[expiry] = nil
            }
            guard step != 0 else { continue }
            if let last = self.lastWarnings[expiry] {
                let isDaily = step >= steps.count && now - last.time >= Self.day
                guard step > last.step || isDaily else { continue }
            }
            self.lastWarnings[expiry] = LastWarning(step: step, time: now)
            notices.append(Warning(expiry: expiry, remaining: remaining))
        }
        return notices
    }

    /// Returns the number of seconds left at each step, the longest first.
    static func steps(_ expiry: TLSExpiry) -> [Int64] {
        let length = max(expiry.notAfter - expiry.notBefore, 0)
        let steps = [30 * self.day, 7 * self.day, self.day].filter { $0 <= length / 3 }
        return steps.isEmpty ? [length / 4] : steps
    }
}
