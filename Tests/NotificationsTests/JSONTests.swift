// SPDX-License-Identifier: Apache-2.0

import Notifications
import Testing

@Suite struct JSONParserTests {
    private func roundTrip(_ text: String) throws -> String {
        String(decoding: JSONWriter.encode(try JSONParser.parse(text)), as: UTF8.self)
    }

    @Test(
        "A round trip keeps the order of members, the numbers and the escapes",
        arguments: [
            #"{"b":1,"a":[true,false,null],"c":{}}"#, "[]", "0", "-0.50", "1e9", "12345678901234567890.10", #""""#,
            #"["\"\\\b\f\n\r\t\u0001"]"#, #""\u00fc\u4e2d\ud83d\ude00""#,
        ])
    func keepsOrderNumbersAndEscapes(text: String) throws {
        #expect(try self.roundTrip(text) == text)
    }

    @Test("The writer writes only ASCII, without white space")
    func writesASCIIOnly() throws {
        #expect(try self.roundTrip("\"ü中😀\u{7f}\"") == #""\u00fc\u4e2d\ud83d\ude00\u007f""#)
        #expect(try self.roundTrip(" [ 1 ,\t2\r\n] ") == "[1,2]")
    }

    @Test(
        "Text that is not JSON is rejected with a reason",
        arguments: [
            ("", "ends"), ("[", "closed"), ("[1", "closed"), ("[1,]", "JSON value"), ("{", "closed"),
            (#"{"a"}"#, "colon"),
            (#"{"a":1,}"#, "name"), (#"{a:1}"#, "name"), ("01", "leading zero"), ("1.", "digit"), ("-", "digit"),
            ("1e", "digit"), ("nul", "JSON value"), ("truefalse", "follows"), ("[1] x", "follows"),
            (#""\x""#, "escape"),
            (#""\u12g4""#, "hexadecimal"), (#""abc"#, "closed"), (#""\"#, "closed"), ("\"a\nb\"", "control"),
            ("NaN", "JSON value"), ("-" + String(repeating: "1", count: 512), "longer"),
            (#"{"a":1,"a":2}"#, "twice"), ("\u{FEFF}1", "JSON value"),
        ])
    func invalidJSON(text: String, reason: String) {
        let error = #expect(throws: JSONError.self) { try JSONParser.parse(text) }
        #expect(error?.reason.contains(reason) == true, "\(String(describing: error))")
    }

    @Test("The elements of an object are in the order of its members")
    func elements() {
        let object: JSONObject = ["b": 1, "a": nil]
        #expect(object.elements.map { $0.0 } == ["b", "a"])
        #expect(object.elements.map { $0.1 } == [1, .null])
        #expect(JSONObject(object.elements) == object)
    }

    @Test("Member names are compared by their bytes", arguments: [0, 40])
    func namesByBytes(others: Int) throws {
        // Canonically equivalent: Swift's == regards them as one name, every other reader as two.
        let members = ["\"\u{E9}\":1", "\"e\u{301}\":2"] + (0..<others).map { "\"k\($0)\":0" }
        let object = try JSONParser.parse("{" + members.joined(separator: ",") + "}").object
        #expect(object?["\u{E9}"] == 1)
        #expect(object?["e\u{301}"] == 2)
    }

    @Test("A duplicate name in a large object is rejected")
    func duplicateName() {
        let members = (0..<100).map { "\"k\($0)\":0" } + ["\"k3\":1"]
        let error = #expect(throws: JSONError.self) {
            try JSONParser.parse("{" + members.joined(separator: ",") + "}")
        }
        #expect(error?.reason.contains("twice") == true)
    }

    @Test(
        "Invalid UTF-8 is rejected",
        arguments: [
            [UInt8(ascii: "\""), 0xFF, UInt8(ascii: "\"")], [UInt8(ascii: "\""), 0xC0, 0x80, UInt8(ascii: "\"")],
            [UInt8(ascii: "\""), 0xED, 0xA0, 0x80, UInt8(ascii: "\"")],
            [UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "n"), 0xFF, UInt8(ascii: "\"")],
        ])
    func invalidUTF8(bytes: [UInt8]) {
        let error = #expect(throws: JSONError.self) { try JSONParser.parse(bytes.span) }
        #expect(error?.reason.contains("UTF-8") == true)
    }

    @Test("The depth of nesting is bounded")
    func boundsNesting() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try JSONParser.parse(nested(32))
        #expect(throws: JSONError.self) { try JSONParser.parse(nested(33)) }
        #expect(throws: JSONError.self) { try JSONParser.parse(String(repeating: "{\"a\":", count: 200_000)) }
    }

    /// Values are counted at every depth, as ``JSONValue/valueCount`` does.
    @Test("The number of values is bounded")
    func boundsValues() throws {
        for (text, count) in [("1", 1), ("[]", 1), ("[[],{}]", 3), (#"{"a":[1,"b",null],"c":true}"#, 6)] {
            #expect(try JSONParser.parse(text).valueCount == count)
            let bytes = Array(text.utf8)
            #expect(try JSONParser.parse(bytes.span, maximumValues: count).valueCount == count)
            #expect(throws: JSONError.self) { try JSONParser.parse(bytes.span, maximumValues: count - 1) }
        }
    }

    /// Strings are read and written eight bytes at a time, so every position is tested.
    @Test(
        "Special characters are read and written at every position",
        arguments: ["\"", "\\", "\u{0}", "\u{1F}", "\u{7F}", "\n", "é", "€", "😀", "\u{80}", "\u{FFFF}", "\u{10FFFF}"])
    func specialCharacters(special: Unicode.Scalar) throws {
        let escape: String =
            switch special {
            case "\"": #"\""#
            case "\\": #"\\"#
            case "\n": #"\n"#
            default:
                String(special).utf16.map {
                    "\\u" + String(repeating: "0", count: 4 - String($0, radix: 16).count) + String($0, radix: 16)
                }
                .joined()
            }
        for before in 0...40 {
            for after in [0, 1, 15, 16, 40] {
                let (left, right) = (String(repeating: "a", count: before), String(repeating: "~", count: after))
                let value = JSONValue.string(left + String(special) + right)
                let text = JSONWriter.encode(value)
                #expect(String(decoding: text, as: UTF8.self) == "\"\(left)\(escape)\(right)\"")
                #expect(try JSONParser.parse(text.span) == value)
                // Also as UTF-8, which other writers use, except for characters that must be escaped.
                let plain = Array("\"\(left)\(special)\(right)\"".utf8)
                let isEscaped = special.value < 0x20 || special == "\"" || special == "\\"
                #expect((try? JSONParser.parse(plain.span)) == (isEscaped ? Optional.none : value))
            }
        }
    }

    /// The envelope holds the message as a string: reading that string returns the message, byte by byte.
    @Test(
        "A message written into the envelope's string is read back byte by byte",
        arguments: ["\"", "\\", "\\\"\\", "\n\r\t\u{8}\u{c}", "\u{1}\u{7f}", "ü中😀", "a\"b\\c\nd", "", "{", "[,"])
    func messageInString(text: String) throws {
        let message = NotificationMessage(
            messageID: MessageID(), publisherID: text, eventType: "e", priority: .info,
            payload: ["": .string(text), "n": [1, nil, .string(text)], "o": .object([text: [:]])], timestamp: .now(),
            context: ["user": .string(text), "roles": []])
        let id = UniqueID()
        let envelope = try JSONParser.parse(Envelope.messagingv2.encode(message, uniqueID: id).span)
        let held = try #require(envelope.object?["oslo.message"]?.string)
        #expect(held == String(decoding: Envelope.messaging.encode(message, uniqueID: id), as: UTF8.self))
        let object = try #require(try JSONParser.parse(held).object)
        #expect(object["payload"] == .object(message.payload))
        #expect(object["_context_user"] == .string(text) && object["publisher_id"] == .string(text))
    }

    @Test("A lone surrogate is read as the replacement character")
    func loneSurrogate() throws {
        #expect(try JSONParser.parse(#""\udc80""#) == "\u{FFFD}")
        #expect(try JSONParser.parse(#""\ud83dx""#) == "\u{FFFD}x")
        #expect(try JSONParser.parse(#""\ud83d\u0041""#) == "\u{FFFD}A")
        #expect(try JSONParser.parse(#""\ud83d\ud83d\ude00""#) == "\u{FFFD}😀")
    }

    /// Every prefix and every one-byte change of a message is parsed or rejected, and crashes nothing.
    @Test("A one-byte change of a message is parsed or rejected, and each prefix is rejected")
    func survivesMutations() throws {
        let text = Array(#"{"a":[1.5e-3,"x\u00fc\n",{"b":null}],"c":true}"#.utf8)
        var parsed = 0
        for length in 0..<text.count {
            #expect(throws: JSONError.self) { try JSONParser.parse(Array(text.prefix(length)).span) }
        }
        for index in text.indices {
            for byte in UInt8.min...UInt8.max {
                var mutated = text
                mutated[index] = byte
                if let value = try? JSONParser.parse(mutated.span) {
                    // An accepted value can be written and read again as the same value.
                    #expect(try JSONParser.parse(JSONWriter.encode(value).span) == value)
                    parsed += 1
                }
            }
        }
        #expect(parsed > text.count)
    }
}
