/// A notification's identifier: a UUID in its canonical lower-case form, random unless it must be found again.
public struct MessageID: Sendable, Hashable, CustomStringConvertible {
    /// `8-4-4-4-12` lower-case hexadecimal digits.
    public let description: String

    /// A new random identifier (version 4).
    public init() {
        var generator = SystemRandomNumberGenerator()
        self.init(high: generator.next(), low: generator.next(), version: 4)
    }

    /// The identifier of these 128 bits, six of which give way to the version and the variant.
    init(high: UInt64, low: UInt64, version: UInt64) {
        var text = (high & ~0xF000 | version << 12).hexadecimal
        text += (low & ~(0b11 << 62) | (0b10 << 62)).hexadecimal
        let digits = Array(text.utf8)
        var canonical: [UInt8] = []
        for (index, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) { canonical.append(UInt8(ascii: "-")) }
            canonical.append(digit)
        }
        self.description = String(decoding: canonical, as: UTF8.self)
    }

    /// The identifier that this text spells, or nil if it is not a UUID with its hyphens; capitals are lowered.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 36 else { return nil }
        for (index, byte) in bytes.enumerated() {
            switch (index, byte) {
            case (8, let byte), (13, let byte), (18, let byte), (23, let byte):
                guard byte == UInt8(ascii: "-") else { return nil }
            case (_, UInt8(ascii: "0")...UInt8(ascii: "9")), (_, UInt8(ascii: "a")...UInt8(ascii: "f")),
                (_, UInt8(ascii: "A")...UInt8(ascii: "F")):
                break
            default: return nil
            }
        }
        self.description = text.lowercased()
    }
}

extension UInt64 {
    /// Sixteen lower-case hexadecimal digits.
    package var hexadecimal: String {
        let digits = String(self, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
