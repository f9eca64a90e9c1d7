package import Notifications

/// One spelling of a JSON value, so that two programs make one digest of it (Docs/protocol.md has the rule).
///
/// It is what Python's `json.dumps(value, sort_keys=True, separators=(",", ":"))` writes: ASCII, names in the order of
/// their code points. A number stands as it was written; nothing on the way from the control plane changes it.
package enum CanonicalJSON {
    /// The text of the value.
    package static func encode(_ value: JSONValue) -> [UInt8] { JSONWriter.encode(self.sorted(value)) }

    /// The SHA-256 digest of the text, as 64 lower-case hexadecimal digits.
    package static func digest(_ object: JSONObject) -> String { SHA256.hexadecimal(self.encode(.object(object))) }

    private static func sorted(_ value: JSONValue) -> JSONValue {
        switch value {
        case .null, .bool, .number, .string: return value
        case .array(let elements): return .array(elements.map { self.sorted($0) })
        case .object(let object):
            // The order of UTF-8's bytes is that of the code points.
            let members = object.members.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
            var sorted = JSONObject()
            sorted.reserveCapacity(members.count)
            for member in members { sorted.append(member.name, self.sorted(member.value)) }
            return .object(sorted)
        }
    }
}
