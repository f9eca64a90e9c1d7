// SPDX-License-Identifier: Apache-2.0

extension Span<UInt8> {
    /// Returns the index of the first byte at or after `start` that must be escaped in a JSON string, or `count` if
    /// there is none.
    ///
    /// Quotes, backslashes and bytes below 0x20 must always be escaped. Texts are long and such bytes are rare, so the
    /// method examines eight bytes at a time. (SIMD16, which should be faster, took several times as long as one byte
    /// at a time: Swift 6.3, a release build.)
    ///
    /// - Parameter isASCIIOnly: whether all bytes other than printable ASCII must be escaped too.
    @inline(__always)
    func endOfUnescapedRun(from start: Int, isASCIIOnly: Bool) -> Int {
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
        // The last bytes, padded with spaces, which need no escape.
        let rest = self.count - index
        guard rest > 0 else { return index }
        let bytes = self.eightBytes(at: self.count - 8) >> UInt64(64 - 8 * rest) | .eightSpaces << UInt64(8 * rest)
        let special = bytes.specialBytes(isASCIIOnly: isASCIIOnly)
        return special == 0 ? self.count : index + special.trailingZeroBitCount / 8
    }

    /// Returns whether both spans have the same bytes.
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

    /// Returns eight bytes as a number, the first byte lowest. The span must have eight bytes from the index on.
    private func eightBytes(at index: Int) -> UInt64 {
        // Safe, since any eight bytes are a valid number.
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

    /// Returns a number that is not zero if ``Swift/UInt8/isSpecial(isASCIIOnly:)`` is true of one of the eight bytes.
    /// Its lowest set bit is in the first such byte. (Bits in later bytes may be set wrongly.)
    fileprivate func specialBytes(isASCIIOnly: Bool) -> UInt64 {
        // Subtracting `limit` from a smaller byte borrows and so sets its high bit; bytes that had that bit before do
        // not count.
        func below(_ limit: UInt64, _ bytes: UInt64) -> UInt64 { (bytes &- Self.ones &* limit) & ~bytes }
        func equal(_ byte: UInt64) -> UInt64 { below(1, self ^ (Self.ones &* byte)) }
        var special = below(0x20, self) | equal(0x22) | equal(0x5C)
        if isASCIIOnly { special |= self | equal(0x7F) }
        return special & Self.highBits
    }
}
