// SPDX-License-Identifier: Apache-2.0

/// What the fuzzer made up, taken apart from the front: an entry that reads choices and texts from it gets past what a
/// mutated text would fail at, such as base64 or a signature.
///
/// Every byte means something, and past the end all is nought, so that no input is in vain.
struct FuzzBytes {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { self.rest = bytes[...] }

    /// Whether nothing is left.
    var isEmpty: Bool { self.rest.isEmpty }

    /// The next byte.
    mutating func byte() -> UInt8 { self.rest.popFirst() ?? 0 }

    /// A number below this one. The digits of ASCII stand for themselves where they are fewer than 17 and divide 48, so that a
    /// corpus can be read.
    mutating func number(below limit: Int) -> Int { Int(self.byte()) % limit }

    /// One of these.
    mutating func choice<Element>(_ elements: [Element]) -> Element { elements[self.number(below: elements.count)] }

    /// So many bytes as the next one says.
    mutating func piece() -> [UInt8] {
        let count = Int(self.byte())
        defer { self.rest = self.rest.dropFirst(count) }
        return Array(self.rest.prefix(count))
    }

    /// The bytes up to the next line end, which goes with them.
    mutating func line() -> [UInt8] {
        let line = Array(self.rest.prefix { $0 != UInt8(ascii: "\n") })
        self.rest = self.rest.dropFirst(line.count + 1)
        return line
    }

    /// All that is left.
    mutating func remainder() -> [UInt8] {
        defer { self.rest = [] }
        return Array(self.rest)
    }
}
