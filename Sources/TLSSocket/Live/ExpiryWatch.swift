/// Decides when to speak of what expires, or is not valid yet. It holds no clock and no log.
///
/// It speaks when 30 days are left, 7 days, 1 day, and at the end; after the last two once a day. What is valid for a shorter
/// time than these steps suit (a day's certificate, an hour's revocation list) has its first step where a quarter is left.
package struct ExpiryWatch {
    /// Something to say.
    package struct Notice: Sendable, Hashable {
        /// What ends, or has ended.
        package let expiry: TLSExpiry
        /// How many seconds are left; negative after the end.
        package let remaining: Int64
        /// Whether it has ended.
        package var isExpired: Bool { self.remaining < 0 }
        /// Whether it has not begun.
        package var isEarly: Bool { self.expiry.isEarly(at: self.expiry.notAfter - self.remaining) }
    }

    private struct Told {
        var step: Int
        var time: Int64
    }

    private static let day: Int64 = 86_400
    private static let early = -1
    private var told: [TLSExpiry: Told] = [:]

    /// Nothing was said yet.
    package init() {}

    /// What has to be said now, in seconds since 1970; what is asked for again is not said again.
    package mutating func notices(_ expiries: [TLSExpiry], now: Int64) -> [Notice] {
        // What was replaced is forgotten.
        let present = Set(expiries)
        self.told = self.told.filter { present.contains($0.key) }
        var notices: [Notice] = []
        // A file may hold one twice.
        for expiry in expiries where present.contains(expiry) {
            let remaining = expiry.notAfter - now
            let steps = Self.steps(expiry)
            let step =
                if expiry.isEarly(at: now) {
                    Self.early
                } else {
                    remaining < 0 ? steps.count + 1 : steps.count { remaining <= $0 }
                }
            // The clock was wrong, then or now: what was said then is no reason to be silent.
            if let last = self.told[expiry], last.time > now || last.step > step { self.told[expiry] = nil }
            guard step != 0 else { continue }
            if let last = self.told[expiry] {
                let isDaily = step >= steps.count && now - last.time >= Self.day
                guard step > last.step || isDaily else { continue }
            }
            self.told[expiry] = Told(step: step, time: now)
            notices.append(Notice(expiry: expiry, remaining: remaining))
        }
        return notices
    }

    /// How many seconds are left at each step, the longest first.
    static func steps(_ expiry: TLSExpiry) -> [Int64] {
        let length = max(expiry.notAfter - expiry.notBefore, 0)
        let steps = [30 * self.day, 7 * self.day, self.day].filter { $0 <= length / 3 }
        return steps.isEmpty ? [length / 4] : steps
    }
}
