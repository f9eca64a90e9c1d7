// SPDX-License-Identifier: Apache-2.0

extension String {
    /// Returns whether both strings have the same UTF-8 bytes. Untrusted text must be compared with this method, not
    /// with `==`.
    ///
    /// Swift's `==` and `hash(into:)` first put Unicode text into canonical order, which takes time quadratic in the
    /// length of a run of combining marks: one comparison with a line of 1 MiB would block an event loop for minutes.
    /// They also treat canonically equivalent names as one, whereas every other reader of the JSON treats them as two.
    package func hasSameBytes(as other: String) -> Bool {
        guard self.utf8.count == other.utf8.count else { return false }
        // Compares spans: the views' own comparison computes the position in the string again for each byte.
        return self.utf8.span.hasSameBytes(as: other.utf8.span)
    }

    /// The beginning of untrusted text, for a log: quoted, in ASCII without control characters, at most 64 Unicode
    /// scalars. A prefix of 64 characters would not limit the length: one character may have a million combining marks.
    package var excerpt: String {
        var excerpt = "\""
        for scalar in self.unicodeScalars.prefix(64) { excerpt += scalar.escaped(asASCII: true) }
        return excerpt + "\""
    }
}

/// A string that is compared and hashed by its bytes (see ``Swift/String/hasSameBytes(as:)`` for the reason).
package struct ByteString: Hashable, Sendable {
    private let string: String

    /// Creates a string of the same bytes.
    package init(_ string: String) { self.string = string }

    /// The number of bytes.
    var byteCount: Int { self.string.utf8.count }

    package static func == (left: ByteString, right: ByteString) -> Bool { left.string.hasSameBytes(as: right.string) }

    package func hash(into hasher: inout Hasher) {
        unsafe self.string.utf8.span.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
        // Marks the end of the string, so that it cannot merge with the next hashed value.
        hasher.combine(0xFF as UInt8)
    }
}
