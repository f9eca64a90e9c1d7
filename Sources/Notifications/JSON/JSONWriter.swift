/// Writes compact JSON in pure ASCII, as Python's `json.dumps` escapes it.
///
/// oslo.messaging puts nothing but ASCII on the wire; a consumer that never met anything else is met with the same.
package struct JSONWriter {
    /// What was written so far.
    package private(set) var bytes: [UInt8]

    /// - Parameter capacity: how many bytes to make room for.
    package init(capacity: Int = 1024) {
        self.bytes = []
        self.bytes.reserveCapacity(capacity)
    }

    /// The JSON text of one value.
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
            for (index, element) in elements.enumerated() {
                if index > 0 { self.bytes.append(UInt8(ascii: ",")) }
                self.write(element)
            }
            self.bytes.append(UInt8(ascii: "]"))
        case .object(let object): self.write(object)
        }
    }

    /// Writes an object.
    package mutating func write(_ object: JSONObject) {
        self.bytes.append(UInt8(ascii: "{"))
        for (index, member) in object.members.enumerated() {
            if index > 0 { self.bytes.append(UInt8(ascii: ",")) }
            self.write(member.name)
            self.bytes.append(UInt8(ascii: ":"))
            self.write(member.value)
        }
        self.bytes.append(UInt8(ascii: "}"))
    }

    /// Writes a string, quoted and escaped.
    package mutating func write(_ string: String) {
        self.bytes.append(UInt8(ascii: "\""))
        self.escape(string.utf8.span)
        self.bytes.append(UInt8(ascii: "\""))
    }

    /// Writes JSON text as a JSON string: what oslo's envelope holds.
    ///
    /// - Parameter text: printable ASCII, as this type writes it.
    package mutating func writeQuoted(_ text: [UInt8]) {
        // Of what this type writes only two bytes need an escape, but one in seven does: runs would be short.
        let quoted = unsafe [UInt8](unsafeUninitializedCapacity: 2 * text.count) { space, count in
            for byte in text {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                    unsafe space[count] = UInt8(ascii: "\\")
                    count += 1
                }
                unsafe space[count] = byte
                count += 1
            }
        }
        self.bytes.reserveCapacity(self.bytes.count + quoted.count + 2)
        self.bytes.append(UInt8(ascii: "\""))
        self.bytes.append(contentsOf: quoted)
        self.bytes.append(UInt8(ascii: "\""))
    }

    /// Writes bytes as they are; the caller sees to it that they are JSON.
    package mutating func raw(_ text: StaticString) {
        unsafe self.bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// - Parameter text: valid UTF-8, as a string's is.
    private mutating func escape(_ text: Span<UInt8>) {
        var index = 0
        while true {
            let end = text.endOfPlainText(from: index, isASCIIOnly: true)
            if end > index {
                unsafe text.extracting(index..<end).withUnsafeBufferPointer { unsafe self.bytes.append(contentsOf: $0) }
            }
            guard end < text.count else { return }
            index = end + self.escape(text, at: end)
        }
    }

    /// - Returns: how many bytes the escape stands for.
    private mutating func escape(_ text: Span<UInt8>, at index: Int) -> Int {
        let byte = text[index]
        switch byte {
        case UInt8(ascii: "\""): self.raw("\\\"")
        case UInt8(ascii: "\\"): self.raw("\\\\")
        case 0x08: self.raw("\\b")
        case 0x09: self.raw("\\t")
        case 0x0A: self.raw("\\n")
        case 0x0C: self.raw("\\f")
        case 0x0D: self.raw("\\r")
        case 0..<0x80: self.unicodeEscape(UInt16(byte))
        default:
            // The first byte says how many there are, and has as many bits fewer of its own.
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

    private mutating func unicodeEscape(_ unit: UInt16) {
        self.raw("\\u")
        for shift in stride(from: 12, through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: unit >> UInt16(shift)) & 0xF
            self.bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
    }
}
