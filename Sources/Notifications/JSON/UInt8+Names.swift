// SPDX-License-Identifier: Apache-2.0

extension UInt8 {
    /// Whether the byte may occur in a name: an ASCII letter, a digit, a hyphen or an underscore. A dot separates
    /// names.
    package var isNameByte: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }

    /// Whether the byte may occur in a name or is a dot.
    package var isDottedNameByte: Bool { self.isNameByte || self == UInt8(ascii: ".") }
}
