// SPDX-License-Identifier: Apache-2.0

/// A writer of compact JSON in pure ASCII, escaped as Python's `json.dumps` does.
///
/// oslo.messaging sends nothing but ASCII, so its consumers may never have received anything else.
///
/// The writer puts a comma before a member's name unless the member is the first one.
package struct JSONWriter {
    /// The bytes written so far.
    package private(set) var bytes: [UInt8]
    /// Whether the JSON is written inside a JSON string, where its quotes and backslashes are escaped once more.
    private var isWithinString = false

    /// - Parameter capacity: the number of bytes to reserve.
    package init(capacity: Int = 1024) {
        self.bytes = []
        self.bytes.reserveCapacity(capacity)
    }

    /// Returns the JSON text of one value.
    package static func encode(_ value: JSONValue) -> [UInt8] {
        var writer = JSONWriter()
        writer.write(value)
        return writer.bytes
    }

    /// Writes a value.
    package mutating func write(_ value: JSONValue) {
        switch value {
        case .null: self.raw("null")
        case .bool(let value): self.raw(value ? "true" : "false")
        case .number(let number): self.bytes.append(contentsOf: number.literal.utf8)
        case .string(let string): self.write(string)
        case .array(let elements):
            self.bytes.append(UInt8(ascii: "["))
            for index in elements.indices {
                if index > 0 { self.bytes.append(UInt8(ascii: ",")) }
                self.write(elements[index])
            }
            self.bytes.append(UInt8(ascii: "]"))
        case .object(let object): self.write(object)
        }
    }

    /// Writes an object.
    package mutating func write(_ object: JSONObject) {
        self.writeObject { writer in
            // A span borrows the members; a loop would copy each of them.
            let members = object.members.span
            for index in members.indices {
                writer.writeName(members[index].name)
                writer.write(members[index].value)
            }
        }
    }

    /// Writes an object. The body writes the members: for each one its name and then its value.
    package mutating func writeObject(_ body: (inout JSONWriter) -> Void) {
        self.bytes.append(UInt8(ascii: "{"))
        body(&self)
        self.bytes.append(UInt8(ascii: "}"))
    }

    /// Writes a member's name.
    ///
    /// - Parameter prefix: the beginning of the name; printable ASCII without quotes and backslashes.
    package mutating func writeName(_ name: String, prefix: StaticString = "") {
        if self.bytes.last != UInt8(ascii: "{") { self.bytes.append(UInt8(ascii: ",")) }
        self.write(name, prefix: prefix)
        self.bytes.append(UInt8(ascii: ":"))
    }

    /// Writes a member whose value is a string.
    package mutating func writeMember(_ name: String, _ value: String) {
        self.writeName(name)
        self.write(value)
    }

    /// Writes a string, quoted and escaped.
    package mutating func write(_ string: String) { self.write(string, prefix: "") }

    /// Writes a JSON string that contains the JSON written by the body, as in oslo's envelope.
    package mutating func writeString(holding body: (inout JSONWriter) -> Void) {
        precondition(!self.isWithinString, "JSON can be nested in at most one string")
        self.bytes.append(UInt8(ascii: "\""))
        self.isWithinString = true
        body(&self)
        self.isWithinString = false
        self.bytes.append(UInt8(ascii: "\""))
    }

    /// Writes bytes unchanged; the caller must ensure that they are JSON.
    package mutating func raw(_ text: StaticString) {
        unsafe self.bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private mutating func write(_ string: String, prefix: StaticString) {
        let text = string.utf8.span
        let plain = text.endOfUnescapedRun(from: 0, isASCIIOnly: true)
        let isWithinString = self.isWithinString
        // Appends in one step, since nearly all strings need no escape.
        self.bytes.append(addingCapacity: plain + prefix.utf8CodeUnitCount + 4) { output in
            output.appendQuote(isWithinString)
            if prefix.utf8CodeUnitCount > 0 {
                unsafe output.append(UnsafeBufferPointer(start: prefix.utf8Start, count: prefix.utf8CodeUnitCount))
            }
            output.append(text.extracting(..<plain))
            if plain == text.count { output.appendQuote(isWithinString) }
        }
        guard plain < text.count else { return }
        self.escape(text, from: plain)
        self.bytes.append(addingCapacity: 2) { $0.appendQuote(isWithinString) }
    }

    /// Writes the rest of a string with escapes.
    ///
    /// - Parameters:
    ///   - text: valid UTF-8, as a string's bytes are.
    ///   - start: the index of a byte that must be escaped.
    private mutating func escape(_ text: Span<UInt8>, from start: Int) {
        var index = start
        while index < text.count {
            index += self.escape(text, at: index)
            let end = text.endOfUnescapedRun(from: index, isASCIIOnly: true)
            self.bytes.append(addingCapacity: end - index) { $0.append(text.extracting(index..<end)) }
            index = end
        }
    }

    /// Writes the escape of the scalar at the index.
    ///
    /// - Returns: the number of bytes of UTF-8 that the escape replaces.
    private mutating func escape(_ text: Span<UInt8>, at index: Int) -> Int {
        let byte = text[index]
        switch byte {
        // Inside a string, both characters of these two escapes must be escaped again.
        case UInt8(ascii: "\""): self.raw(self.isWithinString ? #"\\\""# : #"\""#)
        case UInt8(ascii: "\\"): self.raw(self.isWithinString ? #"\\\\"# : #"\\"#)
        case 0x08: self.letterEscape("b")
        case 0x09: self.letterEscape("t")
        case 0x0A: self.letterEscape("n")
        case 0x0C: self.letterEscape("f")
        case 0x0D: self.letterEscape("r")
        case 0..<0x80: self.unicodeEscape(UInt16(byte))
        default:
            // The leading one bits of the first byte give the number of bytes; its remaining bits belong to the scalar.
            let count = (~byte).leadingZeroBitCount
            var scalar = UInt32(byte) & (0x7F >> UInt32(count))
            for offset in 1..<count { scalar = scalar << 6 | UInt32(text[index + offset] & 0x3F) }
            for unit in Unicode.Scalar(scalar).map({ UTF16.encode($0) ?? .init() }) ?? .init() {
                self.unicodeEscape(unit)
            }
            return count
        }
        return 1
    }

    private mutating func letterEscape(_ letter: Unicode.Scalar) {
        self.raw(self.isWithinString ? #"\\"# : #"\"#)
        self.bytes.append(UInt8(ascii: letter))
    }

    private mutating func unicodeEscape(_ unit: UInt16) {
        self.letterEscape("u")
        for shift in stride(from: 12, through: 0, by: -4) {
            self.bytes.append(UInt8(truncatingIfNeeded: unit >> UInt16(shift)).hexadecimalDigit)
        }
    }
}

extension OutputSpan<UInt8> {
    fileprivate mutating func appendQuote(_ isWithinString: Bool) {
        if isWithinString { self.append(UInt8(ascii: "\\")) }
        self.append(UInt8(ascii: "\""))
    }

    /// Appends the bytes in one step. The span must have enough free capacity.
    fileprivate mutating func append(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBufferPointer { unsafe self.append($0) }
    }

    fileprivate mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        unsafe self.withUnsafeMutableBufferPointer { buffer, count in
            _ = unsafe buffer.extracting(count...).initialize(fromContentsOf: bytes)
            count += bytes.count
        }
    }
}
