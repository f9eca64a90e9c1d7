extension Span<UInt8> {
    /// Where the first byte at or behind `start` is that does not stand for itself in a JSON string; `count` if there is none.
    ///
    /// Quotes, backslashes and control characters never do. Texts are long and such bytes few, so this looks at eight bytes at
    /// a time. (SIMD16, which should do better, took several times as long as a byte at a time: Swift 6.3, a release build.)
    ///
    /// - Parameter isASCIIOnly: whether nothing but printable ASCII stands for itself; else all other bytes do.
    @inline(__always)
    func endOfPlainText(from start: Int, isASCIIOnly: Bool) -> Int {
        var index = start
        while index + 8 <= self.count {
            let special = self.eightBytes(at: index).specialBytes(isASCIIOnly: isASCIIOnly)
            if special != 0 { return index + special.trailingZeroBitCount / 8 }
            index += 8
        }
        guard self.count >= 8 else {
            while index < self.count, !self[index].isSpecial(isASCIIOnly: isASCIIOnly) { index += 1 }
            return index
        }
        // The last few, with plain bytes behind them.
        let rest = self.count - index
        guard rest > 0 else { return index }
        let bytes = self.eightBytes(at: self.count - 8) >> UInt64(64 - 8 * rest) | .eightSpaces << UInt64(8 * rest)
        let special = bytes.specialBytes(isASCIIOnly: isASCIIOnly)
        return special == 0 ? self.count : index + special.trailingZeroBitCount / 8
    }

    /// Whether both are the same bytes.
    func hasSameBytes(as other: Span<UInt8>) -> Bool {
        guard self.count == other.count else { return false }
        var index = 0
        while index + 8 <= self.count {
            guard self.eightBytes(at: index) == other.eightBytes(at: index) else { return false }
            index += 8
        }
        while index < self.count {
            guard self[index] == other[index] else { return false }
            index += 1
        }
        return true
    }

    /// Eight bytes as a number, the first of them its lowest. There must be as many.
    private func eightBytes(at index: Int) -> UInt64 {
        // Any eight bytes are such a number.
        UInt64(littleEndian: unsafe self.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
    }
}

extension UInt8 {
    fileprivate func isSpecial(isASCIIOnly: Bool) -> Bool {
        self < 0x20 || self == UInt8(ascii: "\"") || self == UInt8(ascii: "\\") || isASCIIOnly && self > 0x7E
    }
}

extension UInt64 {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let highBits: UInt64 = 0x8080_8080_8080_8080
    fileprivate static let eightSpaces: UInt64 = 0x2020_2020_2020_2020

    /// Not zero when ``Swift/UInt8/isSpecial(isASCIIOnly:)`` is true of one of the eight bytes; the lowest bit that is set is in the
    /// first of them. (Bits in later ones may be set for no reason of their own.)
    fileprivate func specialBytes(isASCIIOnly: Bool) -> UInt64 {
        // Where a byte below `limit` is subtracted from, it borrows and its high bit is set; bytes that had it do not count.
        func below(_ limit: UInt64, _ bytes: UInt64) -> UInt64 { (bytes &- Self.ones &* limit) & ~bytes }
        func equal(_ byte: UInt64) -> UInt64 { below(1, self ^ (Self.ones &* byte)) }
        var special = below(0x20, self) | equal(0x22) | equal(0x5C)
        if isASCIIOnly { special |= self | equal(0x7F) }
        return special & Self.highBits
    }
}
