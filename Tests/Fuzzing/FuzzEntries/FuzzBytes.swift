// SPDX-License-Identifier: Apache-2.0

/// The fuzzer's input, which is read from the front. An entry that reads choices and texts from it gets past the checks
/// that a mutated text would fail, such as base64 or a signature.
///
/// Every byte has a meaning, and all bytes past the end are zero, so no input is useless.
struct FuzzBytes {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { self.rest = bytes[...] }

    /// Whether no byte is left.
    var isEmpty: Bool { self.rest.isEmpty }

    /// Takes the next byte.
    mutating func byte() -> UInt8 { self.rest.popFirst() ?? 0 }

    /// Takes a number below this limit. ASCII digits have their own values if the limit divides 48 and is at most 16,
    /// so that a corpus is readable.
    mutating func number(below limit: Int) -> Int { Int(self.byte()) % limit }

    /// Takes a choice among these elements.
    mutating func choice<Element>(_ elements: [Element]) -> Element { elements[self.number(below: elements.count)] }

    /// Takes as many bytes as the next one says.
    mutating func piece() -> [UInt8] {
        let count = Int(self.byte())
        defer { self.rest = self.rest.dropFirst(count) }
        return Array(self.rest.prefix(count))
    }

    /// Takes the bytes up to the next line end, which is taken too.
    mutating func line() -> [UInt8] {
        let line = Array(self.rest.prefix { $0 != UInt8(ascii: "\n") })
        self.rest = self.rest.dropFirst(line.count + 1)
        return line
    }

    /// Takes all bytes that are left.
    mutating func remainder() -> [UInt8] {
        defer { self.rest = [] }
        return Array(self.rest)
    }
}
