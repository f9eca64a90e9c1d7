// SPDX-License-Identifier: Apache-2.0

import ContextSigning
import Notifications

/// The form of JSON from which digests are computed: one for each value.
enum FuzzedCanonicalJSON {
    static func problem(with bytes: [UInt8]) -> String? {
        guard let value = try? JSONValue(json: bytes) else { return nil }
        let text = CanonicalJSON.encode(value)
        guard text.allSatisfy({ (0x20...0x7E).contains($0) }) else { return "the canonical form is not plain ASCII" }
        guard let again = try? JSONValue(json: text) else { return "the canonical form is no JSON" }
        guard CanonicalJSON.encode(again) == text else { return "the canonical form has another canonical form" }
        // In another order it is still the same value.
        guard CanonicalJSON.encode(self.reversed(value)) == text else { return "the order of members matters" }
        guard self.isSame(value, again) else { return "the canonical form is of another value" }
        guard case .object(let object) = value else { return nil }
        let digest = CanonicalJSON.digest(object)
        let isDigest = digest.utf8.count == 64 && digest.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) }
        return isDigest ? nil : "a digest is not 64 hexadecimal digits"
    }

    private static func reversed(_ value: JSONValue) -> JSONValue {
        switch value {
        case .null, .bool, .number, .string: return value
        case .array(let elements): return .array(elements.map { self.reversed($0) })
        case .object(let object):
            var reversed = JSONObject()
            for member in object.members.reversed() { reversed.append(member.name, self.reversed(member.value)) }
            return .object(reversed)
        }
    }

    /// Whether two values are equal except for the order of members; texts are compared by their bytes.
    private static func isSame(_ left: JSONValue, _ right: JSONValue) -> Bool {
        switch (left, right) {
        case (.string(let left), .string(let right)): left.hasSameBytes(as: right)
        case (.array(let left), .array(let right)):
            left.count == right.count && zip(left, right).allSatisfy { self.isSame($0, $1) }
        case (.object(let left), .object(let right)):
            left.members.count == right.members.count
                && left.members.allSatisfy { member in
                    right[member.name].map { self.isSame(member.value, $0) } ?? false
                }
        default: left == right
        }
    }
}
