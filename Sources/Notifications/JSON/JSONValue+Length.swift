// SPDX-License-Identifier: Apache-2.0

extension JSONObject {
    /// An upper bound of the length, in bytes, of the object's JSON as ``JSONWriter`` writes it, computed without
    /// writing it.
    package var encodedLengthBound: Int {
        self.members.reduce(2) { $0 + 6 * $1.name.utf8.count + 4 + $1.value.encodedLengthBound }
    }
}

extension JSONValue {
    /// An upper bound of the length, in bytes, of the value's JSON as ``JSONWriter`` writes it: an escape has at most
    /// six bytes for each byte of UTF-8.
    package var encodedLengthBound: Int {
        switch self {
        case .null, .bool: 5
        case .number(let number): number.literal.utf8.count
        case .string(let text): 6 * text.utf8.count + 2
        case .array(let elements): elements.reduce(2) { $0 + $1.encodedLengthBound + 1 }
        case .object(let object): object.encodedLengthBound
        }
    }
}
