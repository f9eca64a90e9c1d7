// SPDX-License-Identifier: Apache-2.0

/// The set of bytes that occur in a text; ASCII capitals count as lower-case letters.
///
/// It has four words instead of a SIMD vector: with a vector, which is aligned to 32 bytes, a ``Redaction`` that async
/// functions passed on corrupted the heap (Swift 6.3.1, a debug build from scratch).
struct ByteSet: Sendable {
    private var (first, second, third, fourth): (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// Creates an empty set.
    init() {}

    /// Creates the set of the bytes of a text.
    init(_ text: Span<UInt8>) {
        for index in text.indices { self.insert(text[index]) }
    }

    mutating func insert(_ byte: UInt8) {
        let byte = byte.lowered
        let bit: UInt64 = 1 << UInt64(byte & 63)
        switch byte >> 6 {
        case 0: self.first |= bit
        case 1: self.second |= bit
        case 2: self.third |= bit
        default: self.fourth |= bit
        }
    }

    /// - Parameter byte: a byte other than an ASCII capital.
    func contains(_ byte: UInt8) -> Bool {
        let word =
            switch byte >> 6 {
            case 0: self.first
            case 1: self.second
            case 2: self.third
            default: self.fourth
            }
        return word & 1 << UInt64(byte & 63) != 0
    }

    func isSubset(of other: ByteSet) -> Bool {
        self.first & ~other.first == 0 && self.second & ~other.second == 0 && self.third & ~other.third == 0
            && self.fourth & ~other.fourth == 0
    }
}
