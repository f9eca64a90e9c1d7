extension Span<UInt8> {
    /// Where the first byte at or behind `start` is that does not stand for itself in a JSON string; `count` if there is none.
    ///
    /// Quotes, backslashes and control characters never do. Texts are long and such bytes few, so this looks at eight bytes at
    /// a time. (SIMD16, which should do better, took several times as long as a byte at a time: Swift 6.3, a release build.)
    ///
    /// - Parameter isASCIIOnly: whether nothing but printable ASCII stands for itself; else all other bytes do.
    func endOfPlainText(from start: Int, isASCIIOnly: Bool) -> Int {
        var index = start
        while index + 8 <= self.count {
            // In bounds, as was just seen, and any eight bytes are such a number.
            let bytes = unsafe self.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
            if bytes.hasSpecialByte(isASCIIOnly: isASCIIOnly) { break }
            index += 8
        }
        while index < self.count, !self[index].isSpecial(isASCIIOnly: isASCIIOnly) { index += 1 }
        return index
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

    /// ``Swift/UInt8/isSpecial(isASCIIOnly:)`` of any of the eight bytes.
    fileprivate func hasSpecialByte(isASCIIOnly: Bool) -> Bool {
        // Where a byte below `limit` is subtracted from, it borrows and its high bit is set; bytes that had it do not count.
        func below(_ limit: UInt64, _ bytes: UInt64) -> UInt64 { (bytes &- Self.ones &* limit) & ~bytes }
        func equal(_ byte: UInt64) -> UInt64 { below(1, self ^ (Self.ones &* byte)) }
        var special = below(0x20, self) | equal(0x22) | equal(0x5C)
        if isASCIIOnly { special |= self | equal(0x7F) }
        return special & Self.highBits != 0
    }
}
