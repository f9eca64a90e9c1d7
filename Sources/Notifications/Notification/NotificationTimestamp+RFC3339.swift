// SPDX-License-Identifier: Apache-2.0

extension NotificationTimestamp {
    /// Reads an instant of RFC 3339, such as `2015-06-28T05:54:57.725572Z` or `2015-06-28T07:54:57+02:00`, in the years
    /// 1970 to 9999 of UTC.
    ///
    /// A space may replace the `T`. A time without an offset is in UTC, as oslo.messaging writes it. Digits after the
    /// microseconds are cut off. A leap second is read as the first second of the next minute, as in POSIX.
    ///
    /// - Returns: nil for any other text, and for a day or time that does not exist.
    package init?(_ text: String) {
        guard let instant = InstantParser.parse(text) else { return nil }
        self = instant.timestamp
    }

    /// Returns the text of a time in the form in which it is published. Text that only a full RFC 3339 parser
    /// understands is converted to UTC, with microseconds if it has a fraction. Any other text stays as it is.
    ///
    /// - Returns: nil for text that is not a time.
    static func published(_ text: String) -> String? {
        guard let instant = InstantParser.parse(text) else { return nil }
        if instant.isPlain { return text }
        return instant.timestamp.text(instant.hasFraction ? .microsecondsUTC : .seconds)
    }
}

/// A parser of an instant's text, byte by byte.
private struct InstantParser {
    struct Instant {
        var timestamp: NotificationTimestamp
        var hasFraction: Bool
        /// Whether the text is in UTC, with capital letters, at most six digits after the second, and no leap second.
        /// Python's `datetime.fromisoformat` reads such text, and so does everything built on it.
        var isPlain: Bool
    }

    /// The maximum length of a text, in bytes. No clock writes a longer one.
    private static let longest = 128
    private static let end: Int64 = 253_402_300_800

    private var index = 0
    private var isPlain = true

    static func parse(_ text: String) -> Instant? {
        guard text.utf8.count <= self.longest else { return nil }
        var parser = InstantParser()
        return parser.instant(text.utf8.span)
    }

    private mutating func instant(_ text: Span<UInt8>) -> Instant? {
        guard let year = self.number(4, text), self.takes("-", text), let month = self.number(2, text),
            (1...12).contains(month), self.takes("-", text), let day = self.number(2, text),
            (1...NotificationTimestamp.daysInMonth(month, year)).contains(day), self.takesSeparator(text),
            let hour = self.number(2, text), hour < 24, self.takes(":", text),
            let minute = self.number(2, text), minute < 60, self.takes(":", text),
            let second = self.number(2, text), second <= 60
        else { return nil }
        var microseconds: Int64 = 0
        let hasFraction = self.takes(".", text)
        if hasFraction {
            guard let fraction = self.fraction(text) else { return nil }
            microseconds = fraction
        }
        guard let offset = self.offset(text), self.index == text.count else { return nil }
        let minutes = (NotificationTimestamp.days(year, month, day) * 24 + hour) * 60 + minute - offset
        let seconds = minutes * 60 + second
        guard (0..<Self.end).contains(seconds), second < 60 || self.endsMonth(seconds) else { return nil }
        if second == 60 { self.isPlain = false }
        return Instant(
            timestamp: NotificationTimestamp(microsecondsSinceEpoch: seconds * 1_000_000 + microseconds),
            hasFraction: hasFraction, isPlain: self.isPlain)
    }

    /// Returns whether a month ends here in UTC: leap seconds occur only then.
    private func endsMonth(_ seconds: Int64) -> Bool {
        seconds % 86_400 == 0 && NotificationTimestamp.date(seconds / 86_400).day == 1
    }

    /// Reads the digits after the point and returns the first six as microseconds; nil if there is no digit.
    private mutating func fraction(_ text: Span<UInt8>) -> Int64? {
        var (value, count): (Int64, Int) = (0, 0)
        while self.index < text.count, let digit = text[self.index].decimalDigit {
            if count < 6 { value = value * 10 + digit }
            count += 1
            self.index += 1
        }
        guard count > 0 else { return nil }
        if count > 6 { self.isPlain = false }
        while count < 6 {
            value *= 10
            count += 1
        }
        return value
    }

    /// Reads the offset from UTC and returns it in minutes: 0 when there is none, nil when it is malformed.
    private mutating func offset(_ text: Span<UInt8>) -> Int64? {
        guard self.index < text.count, !self.takes("Z", text) else { return 0 }
        self.isPlain = false
        if self.takes("z", text) { return 0 }
        let isWest = self.takes("-", text)
        guard isWest || self.takes("+", text), let hours = self.number(2, text), hours < 24, self.takes(":", text),
            let minutes = self.number(2, text), minutes < 60
        else { return nil }
        return (isWest ? -1 : 1) * (hours * 60 + minutes)
    }

    private mutating func takesSeparator(_ text: Span<UInt8>) -> Bool {
        if self.takes("T", text) || self.takes(" ", text) { return true }
        self.isPlain = false
        return self.takes("t", text)
    }

    private mutating func takes(_ byte: Unicode.Scalar, _ text: Span<UInt8>) -> Bool {
        guard self.index < text.count, text[self.index] == UInt8(ascii: byte) else { return false }
        self.index += 1
        return true
    }

    private mutating func number(_ count: Int, _ text: Span<UInt8>) -> Int64? {
        var value: Int64 = 0
        for _ in 0..<count {
            guard self.index < text.count, let digit = text[self.index].decimalDigit else { return nil }
            value = value * 10 + digit
            self.index += 1
        }
        return value
    }
}

extension UInt8 {
    fileprivate var decimalDigit: Int64? {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) ? Int64(self - UInt8(ascii: "0")) : nil
    }
}
