// SPDX-License-Identifier: Apache-2.0

package import Notifications

/// The canonical spelling of JSON values, with which two programs compute the same digest of a value (Docs/protocol.md
/// has the rule).
///
/// It is what Python's `json.dumps(value, sort_keys=True, separators=(",", ":"))` writes: ASCII, with names in the
/// order of their code points. A number keeps the text in which it was written; nothing on the way from the control
/// plane changes it.
package enum CanonicalJSON {
    /// Returns the canonical text of the value.
    package static func encode(_ value: JSONValue) -> [UInt8] { JSONWriter.encode(self.sorted(value)) }

    /// Returns the SHA-256 digest of the object's canonical text, as 64 lower-case hexadecimal digits.
    package static func digest(_ object: JSONObject) -> String { SHA256.hexadecimal(self.encode(.object(object))) }

    private static func sorted(_ value: JSONValue) -> JSONValue {
        switch value {
        case .null, .bool, .number, .string: return value
        case .array(let elements): return .array(elements.map { self.sorted($0) })
        case .object(let object):
            // UTF-8 bytes sort in the order of the code points.
            let members = object.members.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
            var sorted = JSONObject()
            sorted.reserveCapacity(members.count)
            for member in members { sorted.append(member.name, self.sorted(member.value)) }
            return .object(sorted)
        }
    }
}
