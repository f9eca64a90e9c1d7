// SPDX-License-Identifier: Apache-2.0

/// A notification's identifier: a UUID in its canonical lower-case form, random unless it must be reproducible.
public struct MessageID: Sendable, Hashable, CustomStringConvertible {
    /// `8-4-4-4-12` lower-case hexadecimal digits.
    public let description: String

    /// Creates a random identifier (version 4).
    public init() {
        var generator = SystemRandomNumberGenerator()
        self.init(high: generator.next(), low: generator.next(), version: 4)
    }

    /// Creates the identifier of these 128 bits, six of which the version and the variant replace.
    init(high: UInt64, low: UInt64, version: UInt64) {
        self.description = String(
            hexadecimal: high & ~0xF000 | version << 12, low & ~(0b11 << 62) | (0b10 << 62), hyphensAt: [8, 12, 16, 20])
    }

    /// Reads a UUID with its hyphens, in either case. Returns nil for any other text.
    public init?(_ text: String) {
        let bytes = text.utf8.span
        guard bytes.count == 36 else { return nil }
        var hasCapitals = false
        for index in bytes.indices {
            switch (index, bytes[index]) {
            case (8, let byte), (13, let byte), (18, let byte), (23, let byte):
                guard byte == UInt8(ascii: "-") else { return nil }
            case (_, UInt8(ascii: "0")...UInt8(ascii: "9")), (_, UInt8(ascii: "a")...UInt8(ascii: "f")): break
            case (_, UInt8(ascii: "A")...UInt8(ascii: "F")): hasCapitals = true
            default: return nil
            }
        }
        self.description = hasCapitals ? text.lowercased() : text
    }
}

extension String {
    /// Creates text of 32 lower-case hexadecimal digits, with a hyphen before the digits at these indices.
    init(hexadecimal high: UInt64, _ low: UInt64, hyphensAt hyphens: [Int] = []) {
        self = unsafe String(unsafeUninitializedCapacity: 32 + hyphens.count) { space in
            var count = 0
            for digit in 0..<32 {
                if hyphens.contains(digit) {
                    unsafe space[count] = UInt8(ascii: "-")
                    count += 1
                }
                let half = digit < 16 ? high : low
                unsafe space[count] = UInt8(truncatingIfNeeded: half >> UInt64(60 - digit % 16 * 4)).hexadecimalDigit
                count += 1
            }
            return count
        }
    }
}

extension UInt8 {
    /// The lower-case hexadecimal digit of the number's lowest four bits.
    var hexadecimalDigit: UInt8 {
        let number = self & 0xF
        return number < 10 ? UInt8(ascii: "0") + number : UInt8(ascii: "a") + number - 10
    }
}
