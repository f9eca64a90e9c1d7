// SPDX-License-Identifier: Apache-2.0

/// An error about text that the parser rejects.
public struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The problem, as a clause, such as "a string is not closed".
    package let reason: String
    /// The position of the problem, in bytes from the start of the text.
    package let offset: Int

    /// The reason and the position, in one sentence.
    public var description: String { "\(self.reason) at byte \(self.offset)" }
}

/// A strict parser of RFC 8259 JSON for texts that an attacker may have written.
///
/// It rejects invalid UTF-8, duplicate names (two readers could use different ones), nesting beyond a limit, and
/// numbers of more than 512 bytes. A lone UTF-16 surrogate, which Python writes for undecodable bytes in an exception's
/// text, becomes U+FFFD: rejecting it would lose the report of a failure.
package struct JSONParser {
    private var index = 0
    private var values = 0
    private let maximumDepth: Int
    private let maximumValues: Int
    /// The number of members from which duplicate names are looked up in a set instead of one by one.
    private static let linearDuplicateSearch = 16
    /// The maximum length of a number, in bytes. Numbers are forwarded as they are written, and Python refuses to read
    /// integers of more than 4300 digits (640 at the lowest setting of its limit). Such a notification would stop the
    /// consumer that reads it.
    private static let longestNumber = 512

    /// Parses a complete text: one value, followed by nothing but white space.
    ///
    /// - Parameters:
    ///   - bytes: the text, in UTF-8.
    ///   - maximumDepth: the maximum nesting depth of arrays and objects.
    ///   - maximumValues: the maximum number of values, at any depth. Many small values take many times the time and
    ///     the memory of their text, so a caller that parses untrusted text on an event loop must limit them.
    package static func parse(
        _ bytes: Span<UInt8>, maximumDepth: Int = 32, maximumValues: Int = .max
    ) throws(JSONError) -> JSONValue {
        var parser = JSONParser(maximumDepth: maximumDepth, maximumValues: maximumValues)
        let value = try parser.value(bytes, depth: 0)
        parser.skipWhitespace(bytes)
        guard parser.index == bytes.count else { throw parser.error("more text follows the value") }
        return value
    }

    /// Parses a complete text.
    package static func parse(_ text: String, maximumDepth: Int = 32) throws(JSONError) -> JSONValue {
        try self.parse(Array(text.utf8).span, maximumDepth: maximumDepth)
    }

    private init(maximumDepth: Int, maximumValues: Int) {
        self.maximumDepth = maximumDepth
        self.maximumValues = maximumValues
    }

    private func error(_ reason: String, at offset: Int? = nil) -> JSONError {
        JSONError(reason: reason, offset: offset ?? self.index)
    }

    private mutating func skipWhitespace(_ bytes: Span<UInt8>) {
        while self.index < bytes.count {
            switch bytes[self.index] {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"): self.index += 1
            default: return
            }
        }
    }

    private mutating func value(_ bytes: Span<UInt8>, depth: Int) throws(JSONError) -> JSONValue {
        self.skipWhitespace(bytes)
        guard self.index < bytes.count else { throw self.error("the text ends where a value should begin") }
        guard self.values < self.maximumValues else { throw self.error("more than \(self.maximumValues) values") }
        self.values += 1
        switch bytes[self.index] {
        case UInt8(ascii: "{"): return .object(try self.object(bytes, depth: depth + 1))
        case UInt8(ascii: "["): return .array(try self.array(bytes, depth: depth + 1))
        case UInt8(ascii: "\""): return .string(try self.string(bytes))
        case UInt8(ascii: "t"):
            try self.word("true", bytes)
            return .bool(true)
        case UInt8(ascii: "f"):
            try self.word("false", bytes)
            return .bool(false)
        case UInt8(ascii: "n"):
            try self.word("null", bytes)
            return .null
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try self.number(bytes))
        default: throw self.error("a JSON value is expected")
        }
    }

    private mutating func word(_ word: StaticString, _ bytes: Span<UInt8>) throws(JSONError) {
        let text = word.description.utf8
        guard self.index + text.count <= bytes.count else { throw self.error("a JSON value is expected") }
        for (offset, byte) in text.enumerated() where bytes[self.index + offset] != byte {
            throw self.error("a JSON value is expected")
        }
        self.index += text.count
    }

    private mutating func array(_ bytes: Span<UInt8>, depth: Int) throws(JSONError) -> [JSONValue] {
        guard depth <= self.maximumDepth else { throw self.error("nested deeper than \(self.maximumDepth)") }
        self.index += 1
        var elements: [JSONValue] = []
        if try self.closes(UInt8(ascii: "]"), bytes) { return elements }
        while true {
            elements.append(try self.value(bytes, depth: depth))
            if try self.separator(or: UInt8(ascii: "]"), bytes) { return elements }
        }
    }

    private mutating func object(_ bytes: Span<UInt8>, depth: Int) throws(JSONError) -> JSONObject {
        guard depth <= self.maximumDepth else { throw self.error("nested deeper than \(self.maximumDepth)") }
        self.index += 1
        var names: Set<ByteString> = []
        if try self.closes(UInt8(ascii: "}"), bytes) { return JSONObject() }
        var members: [JSONObject.Member] = []
        // The usual size of a request's own objects. Deeper levels may have many objects with one member each.
        if depth <= 3 { members.reserveCapacity(8) }
        while true {
            self.skipWhitespace(bytes)
            let start = self.index
            guard start < bytes.count, bytes[start] == UInt8(ascii: "\"") else {
                throw self.error("a member's name is expected")
            }
            let name = try self.string(bytes)
            let isNew: Bool
            if members.count < Self.linearDuplicateSearch {
                isNew = JSONObject(unique: members).index(of: name) == nil
            } else {
                if names.isEmpty { names = Set(members.map { ByteString($0.name) }) }
                isNew = names.insert(ByteString(name)).inserted
            }
            guard isNew else { throw self.error("a member's name occurs twice in one object", at: start) }
            self.skipWhitespace(bytes)
            guard self.index < bytes.count, bytes[self.index] == UInt8(ascii: ":") else {
                throw self.error("a colon is expected after a member's name")
            }
            self.index += 1
            members.append(.init(name: name, value: try self.value(bytes, depth: depth)))
            if try self.separator(or: UInt8(ascii: "}"), bytes) { return JSONObject(unique: members) }
        }
    }

    /// Consumes the closing byte of an empty container if it comes next, and returns whether it did.
    private mutating func closes(_ close: UInt8, _ bytes: Span<UInt8>) throws(JSONError) -> Bool {
        self.skipWhitespace(bytes)
        guard self.index < bytes.count else { throw self.error("an array or object is not closed") }
        guard bytes[self.index] == close else { return false }
        self.index += 1
        return true
    }

    /// Consumes a comma (and returns false) or the closing byte (and returns true).
    private mutating func separator(or close: UInt8, _ bytes: Span<UInt8>) throws(JSONError) -> Bool {
        self.skipWhitespace(bytes)
        guard self.index < bytes.count else { throw self.error("an array or object is not closed") }
        let byte = bytes[self.index]
        guard byte == close || byte == UInt8(ascii: ",") else {
            throw self.error("a comma or the end of the array or object is expected")
        }
        self.index += 1
        return byte == close
    }

    private mutating func number(_ bytes: Span<UInt8>) throws(JSONError) -> JSONNumber {
        let start = self.index
        if bytes[self.index] == UInt8(ascii: "-") { self.index += 1 }
        let firstDigit = self.index
        guard self.digits(bytes) > 0 else { throw self.error("a digit is expected") }
        if bytes[firstDigit] == UInt8(ascii: "0"), self.index - firstDigit > 1 {
            throw self.error("a number has a leading zero", at: firstDigit)
        }
        if self.index < bytes.count, bytes[self.index] == UInt8(ascii: ".") {
            self.index += 1
            guard self.digits(bytes) > 0 else { throw self.error("a digit is expected") }
        }
        if self.index < bytes.count, bytes[self.index] | 0x20 == UInt8(ascii: "e") {
            self.index += 1
            if self.index < bytes.count,
                bytes[self.index] == UInt8(ascii: "+") || bytes[self.index] == UInt8(ascii: "-")
            {
                self.index += 1
            }
            guard self.digits(bytes) > 0 else { throw self.error("a digit is expected") }
        }
        guard self.index - start <= Self.longestNumber else {
            throw self.error("a number is longer than \(Self.longestNumber) bytes", at: start)
        }
        return JSONNumber(validated: self.plainText(bytes, start, self.index))
    }

    private mutating func digits(_ bytes: Span<UInt8>) -> Int {
        let start = self.index
        while self.index < bytes.count, bytes[self.index] >= UInt8(ascii: "0"), bytes[self.index] <= UInt8(ascii: "9") {
            self.index += 1
        }
        return self.index - start
    }

    /// Returns the text of a range that is known to be printable ASCII.
    private func plainText(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> String {
        // Nearly all texts are plain ASCII, and copying them unchecked takes a tenth of the time of validating them.
        unsafe String(copying: UTF8Span(unchecked: bytes.extracting(start..<end), isKnownASCII: true))
    }

    private mutating func string(_ bytes: Span<UInt8>) throws(JSONError) -> String {
        self.index += 1
        let start = self.index
        self.index = bytes.endOfUnescapedRun(from: start, isASCIIOnly: true)
        if self.index < bytes.count, bytes[self.index] == UInt8(ascii: "\"") {
            self.index += 1
            return self.plainText(bytes, start, self.index - 1)
        }
        self.index = bytes.endOfUnescapedRun(from: self.index, isASCIIOnly: false)
        guard self.index < bytes.count else { throw self.error("a string is not closed") }
        switch bytes[self.index] {
        case UInt8(ascii: "\""):
            let value: String
            do {
                value = String(copying: try UTF8Span(validating: bytes.extracting(start..<self.index)))
            } catch {
                throw self.error("a string is not valid UTF-8", at: start)
            }
            self.index += 1
            return value
        case UInt8(ascii: "\\"): return try self.escapedString(bytes, from: start)
        default: throw self.error("a string contains an unescaped control character")
        }
    }

    /// Parses the rest of a string that contains an escape; `index` is at its first backslash.
    private mutating func escapedString(_ bytes: Span<UInt8>, from start: Int) throws(JSONError) -> String {
        var unescaped: [UInt8] = []
        unescaped.reserveCapacity((self.index - start) * 2)
        self.copy(bytes, start, &unescaped)
        while self.index < bytes.count {
            let byte = bytes[self.index]
            switch byte {
            case UInt8(ascii: "\""):
                self.index += 1
                let string: String
                do {
                    string = String(copying: try UTF8Span(validating: unescaped.span))
                } catch {
                    throw self.error("a string is not valid UTF-8", at: start)
                }
                return string
            case UInt8(ascii: "\\"):
                self.index += 1
                if let encoded = UTF8.encode(try self.escape(bytes)) { unescaped.append(contentsOf: encoded) }
            case 0..<0x20: throw self.error("a string contains an unescaped control character")
            default:
                let plain = self.index
                self.index = bytes.endOfUnescapedRun(from: plain, isASCIIOnly: false)
                self.copy(bytes, plain, &unescaped)
            }
        }
        throw self.error("a string is not closed")
    }

    /// Appends the bytes from `start` up to `index`.
    private func copy(_ bytes: Span<UInt8>, _ start: Int, _ unescaped: inout [UInt8]) {
        unsafe bytes.extracting(start..<self.index).withUnsafeBufferPointer { unsafe unescaped.append(contentsOf: $0) }
    }

    private mutating func escape(_ bytes: Span<UInt8>) throws(JSONError) -> Unicode.Scalar {
        guard self.index < bytes.count else { throw self.error("a string is not closed") }
        let byte = bytes[self.index]
        self.index += 1
        switch byte {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try self.unicodeEscape(bytes)
        default: throw self.error("JSON has no such escape", at: self.index - 1)
        }
    }

    private mutating func unicodeEscape(_ bytes: Span<UInt8>) throws(JSONError) -> Unicode.Scalar {
        let unit = try self.fourHexDigits(bytes)
        guard UTF16.isLeadSurrogate(unit) else { return Unicode.Scalar(unit) ?? "\u{FFFD}" }
        guard self.index + 1 < bytes.count, bytes[self.index] == UInt8(ascii: "\\"),
            bytes[self.index + 1] == UInt8(ascii: "u")
        else { return "\u{FFFD}" }
        let afterHighSurrogate = self.index
        self.index += 2
        let lowSurrogate = try self.fourHexDigits(bytes)
        guard UTF16.isTrailSurrogate(lowSurrogate) else {
            // The second escape is not a low surrogate: read it again on its own.
            self.index = afterHighSurrogate
            return "\u{FFFD}"
        }
        return UTF16.decode(UTF16.EncodedScalar([unit, lowSurrogate]))
    }

    private mutating func fourHexDigits(_ bytes: Span<UInt8>) throws(JSONError) -> UInt16 {
        guard self.index + 4 <= bytes.count else { throw self.error("four hexadecimal digits are expected after \\u") }
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(bytes[self.index])).hexDigitValue, bytes[self.index] < 0x80
            else {
                throw self.error("four hexadecimal digits are expected after \\u")
            }
            unit = unit << 4 | UInt16(digit)
            self.index += 1
        }
        return unit
    }
}

extension JSONValue {
    /// Parses JSON text in UTF-8: one value, nested at most 32 deep, without duplicate names in an object.
    ///
    /// A byte order mark at the beginning is skipped, since some editors write one. (On the wire it is rejected, since
    /// RFC 8259 forbids it there.)
    ///
    /// - Throws: ``JSONError`` for any other text.
    public init(json text: [UInt8]) throws(JSONError) {
        let text = text.span
        let hasByteOrderMark = text.count >= 3 && text[0] == 0xEF && text[1] == 0xBB && text[2] == 0xBF
        self = try JSONParser.parse(hasByteOrderMark ? text.extracting(3...) : text)
    }
}
