// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// A time in UTC with microsecond precision, in oslo.messaging's form: `2015-06-28 05:54:57.725572`.
///
/// This type parses and writes timestamps itself, byte by byte, since a timestamp that does not parse makes Ceilometer
/// drop the event or requeue it without limit.
public struct NotificationTimestamp: Sendable, Hashable, CustomStringConvertible {
    /// Microseconds since 1970-01-01 00:00:00 UTC.
    public let microsecondsSinceEpoch: Int64

    /// Creates the timestamp of this time.
    ///
    /// - Parameter microsecondsSinceEpoch: microseconds since 1970-01-01 00:00:00 UTC.
    public init(microsecondsSinceEpoch: Int64) { self.microsecondsSinceEpoch = microsecondsSinceEpoch }

    /// Returns the system clock's time.
    public static func now() -> NotificationTimestamp {
        NotificationTimestamp(microsecondsSinceEpoch: Int64((Date().timeIntervalSince1970 * 1_000_000).rounded()))
    }

    /// The time in oslo.messaging's form. As in Python's `str(datetime)`, a fraction of zero is left out.
    public var description: String {
        self.text(separator: " ", hasFraction: self.microsecondsSinceEpoch % 1_000_000 != 0)
    }

    /// A form of a time in the payloads of Trove's status notifications.
    package enum Form: Sendable, Hashable, CaseIterable {
        /// `2015-06-28T05:54:52Z`, in whole seconds, with the fraction cut off: the times of a change.
        case seconds
        /// `2015-06-29T20:52:12.000000`, always with six digits: the times that Trove reads from its database.
        case microseconds
        /// `2015-07-10T20:05:29.870091Z`, always with six digits: the ends of an audit period.
        case microsecondsUTC
    }

    /// Returns the time in one of the forms of Trove's payloads.
    package func text(_ form: Form) -> String {
        switch form {
        case .seconds: self.text(separator: "T", hasFraction: false) + "Z"
        case .microseconds: self.text(separator: "T", hasFraction: true)
        case .microsecondsUTC: self.text(separator: "T", hasFraction: true) + "Z"
        }
    }

    /// Returns the text, written byte by byte into one string. Every notification has a timestamp, and composing it
    /// from strings of two digits took as long as the rest of the message.
    private func text(separator: Unicode.Scalar, hasFraction: Bool) -> String {
        let (seconds, microseconds) = Self.floorDivide(self.microsecondsSinceEpoch, 1_000_000)
        let (days, secondOfDay) = Self.floorDivide(seconds, 86_400)
        let (year, month, day) = Self.date(days)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(32)
        func append(_ number: Int64, digits: Int) {
            var divisor = (1..<digits).reduce(1 as Int64) { divisor, _ in divisor * 10 }
            while divisor > 0 {
                bytes.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
                divisor /= 10
            }
        }
        func append(_ byte: Unicode.Scalar, _ number: Int64, digits: Int = 2) {
            bytes.append(UInt8(ascii: byte))
            append(number, digits: digits)
        }
        if (0...9999).contains(year) { append(year, digits: 4) } else { bytes.append(contentsOf: "\(year)".utf8) }
        append("-", month)
        append("-", day)
        append(separator, secondOfDay / 3600)
        append(":", secondOfDay / 60 % 60)
        append(":", secondOfDay % 60)
        if hasFraction { append(".", microseconds, digits: 6) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func floorDivide(_ value: Int64, _ divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    static func daysInMonth(_ month: Int64, _ year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Returns the days from the epoch to a Gregorian date. Years begin in March here, so that the leap day is the last
    /// one.
    static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let marchYear = month > 2 ? year : year - 1
        let marchMonth = (month + 9) % 12
        let dayOfYear = (153 * marchMonth + 2) / 5 + day - 1
        let leapDays = marchYear / 4 - marchYear / 100 + marchYear / 400
        return marchYear * 365 + leapDays + dayOfYear - 719_468
    }

    /// Returns the Gregorian date of a number of days since the epoch.
    static func date(_ daysSinceEpoch: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = Self.floorDivide(daysSinceEpoch + 719_468, 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        let year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
    }
}

extension NotificationTimestamp: Comparable {
    /// Returns whether the left time is the earlier one.
    public static func < (left: NotificationTimestamp, right: NotificationTimestamp) -> Bool {
        left.microsecondsSinceEpoch < right.microsecondsSinceEpoch
    }
}
