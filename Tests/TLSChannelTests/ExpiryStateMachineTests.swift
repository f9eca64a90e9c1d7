// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import TLSChannel

/// The times of the warnings about certificates and lists that expire.
@Suite struct ExpiryStateMachineTests {
    private static let day: Int64 = 86_400

    private func expiry(_ name: String = "a", length: Int64, end: Int64) -> TLSExpiry {
        TLSExpiry(kind: .certificate, name: name, source: "certificate chain", notBefore: end - length, notAfter: end)
    }

    /// Returns the seconds that are left at each warning, when the state machine is asked at each step.
    private func remainders(length: Int64, until last: Int64, every step: Int64 = 3600) -> [Int64] {
        let expiry = self.expiry(length: length, end: 0)
        var watch = ExpiryStateMachine()
        return stride(from: -length, through: last, by: Int(step)).flatMap { now in
            watch.dueWarnings([expiry], now: now).map(\.remaining)
        }
    }

    @Test("A certificate of a year gets warnings at 30, 7, and 1 days before its end, then daily")
    func yearWarnings() {
        let days = self.remainders(length: 365 * Self.day, until: 2 * Self.day + 3600).map {
            Double($0) / Double(Self.day)
        }
        #expect(days.map { ($0 * 100).rounded() / 100 } == [30, 7, 1, 0, -0.04, -1.04, -2.04])
    }

    @Test("A short validity gets its warning at one day, or when a quarter of it is left")
    func shortValidityWarnings() {
        #expect(self.remainders(length: 7 * Self.day, until: -3600) == [Self.day])
        #expect(self.remainders(length: Self.day, until: -3600) == [Self.day / 4])
        #expect(self.remainders(length: 3600, until: 60, every: 60) == [900, -60])
        #expect(self.remainders(length: 4, until: 2, every: 1) == [1, -1])
    }

    @Test("An expired certificate that is first seen late gets one warning at once")
    func alreadyExpired() {
        var watch = ExpiryStateMachine()
        let expired = self.expiry(length: 365 * Self.day, end: 0)
        let notices = watch.dueWarnings([expired, expired], now: 100 * Self.day)
        #expect(notices.count == 1 && notices[0].isExpired)
        #expect(watch.dueWarnings([expired], now: 100 * Self.day + 3600).isEmpty)
    }

    @Test("A renewed certificate gets warnings of its own")
    func renewedCertificate() {
        var watch = ExpiryStateMachine()
        let old = self.expiry(length: 365 * Self.day, end: 0)
        let new = self.expiry(length: 365 * Self.day, end: 5 * Self.day)
        let far = self.expiry("b", length: 365 * Self.day, end: 200 * Self.day)
        #expect(watch.dueWarnings([old, far], now: -Self.day).map(\.expiry) == [old])
        #expect(watch.dueWarnings([new, far], now: -Self.day).map(\.expiry) == [new])
        #expect(watch.dueWarnings([new, far], now: -Self.day).isEmpty)
    }

    @Test("A clock that was far ahead suppresses no later warning")
    func clockWasAhead() {
        var watch = ExpiryStateMachine()
        let expiry = self.expiry(length: 365 * Self.day, end: 0)
        // Far ahead for a moment, and then right.
        #expect(watch.dueWarnings([expiry], now: 3650 * Self.day).map(\.isExpired) == [true])
        #expect(watch.dueWarnings([expiry], now: -100 * Self.day).isEmpty)
        #expect(watch.dueWarnings([expiry], now: -6 * Self.day).map(\.remaining) == [6 * Self.day])
        #expect(watch.dueWarnings([expiry], now: -6 * Self.day + 3600).isEmpty)
        #expect(watch.dueWarnings([expiry], now: 60).map(\.isExpired) == [true])
    }

    @Test("A clock that is set back by two days suppresses no warning")
    func clockSetBack() {
        var watch = ExpiryStateMachine()
        let expiry = self.expiry(length: 365 * Self.day, end: 0)
        #expect(watch.dueWarnings([expiry], now: 10 * Self.day).count == 1)
        // Still expired, at a time before the last warning.
        #expect(watch.dueWarnings([expiry], now: 8 * Self.day).count == 1)
        #expect(watch.dueWarnings([expiry], now: 8 * Self.day + 60).isEmpty)
    }

    @Test("A certificate that is not valid yet gets one warning")
    func notYetValid() {
        var watch = ExpiryStateMachine()
        let expiry = self.expiry(length: Self.day, end: 0)
        let notices = watch.dueWarnings([expiry], now: -2 * Self.day)
        #expect(notices.map(\.isEarly) == [true])
        #expect(
            notices.first?.expiry.line(now: -2 * Self.day).hasSuffix(
                "NOT YET VALID, from 1969-12-31T00:00:00Z on, in 24 hours") == true)
        #expect(watch.dueWarnings([expiry], now: -2 * Self.day + 60).isEmpty)
        #expect(watch.dueWarnings([expiry], now: -Self.day).isEmpty)
        #expect(watch.dueWarnings([expiry], now: -3600).map(\.isEarly) == [false])
    }

    @Test("The line of an expiry has the end of the validity and the time left")
    func expiryLine() {
        let expiry = TLSExpiry(
            kind: .revocationList, name: "ca", source: "revocation lists (file /a)", notBefore: 0,
            notAfter: 1_772_323_200)
        #expect(
            expiry.line(now: 1_772_323_200 - 5 * Self.day)
                == "revocation list CN=ca of revocation lists (file /a): valid until 2026-03-01T00:00:00Z, 5 days left")
        #expect(expiry.line(now: 1_772_323_200 + 90).hasSuffix("EXPIRED 2026-03-01T00:00:00Z, 90 s ago"))
    }
}
