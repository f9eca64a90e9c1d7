extension String {
    /// Whether both are the same bytes in UTF-8: what `==` must not be asked of text that a stranger wrote.
    ///
    /// Swift's `==` and `hash(into:)` put Unicode text into canonical order first, which takes time quadratic in the
    /// length of a run of combining marks: one comparison with a line of 1 MiB would hold an event loop for minutes. It
    /// also takes canonically equivalent names for one, where every other reader of the JSON takes them for two.
    package func hasSameBytes(as other: String) -> Bool {
        guard self.utf8.count == other.utf8.count else { return false }
        // Spans, since the views' own comparison asks for each byte anew where in the string it is.
        return self.utf8.span.hasSameBytes(as: other.utf8.span)
    }

    /// The beginning of text that a stranger wrote, for a log: quoted, in ASCII without control characters, at most 64
    /// of its Unicode scalars. A prefix of 64 characters is no bound: one character may have a million marks.
    package var excerpt: String {
        var excerpt = "\""
        for scalar in self.unicodeScalars.prefix(64) { excerpt += scalar.escaped(asASCII: true) }
        return excerpt + "\""
    }
}

/// A string that is compared and hashed by its bytes (``Swift/String/hasSameBytes(as:)`` says why).
struct ByteString: Hashable {
    private let string: String

    init(_ string: String) { self.string = string }

    /// How many bytes it has.
    var byteCount: Int { self.string.utf8.count }

    static func == (left: ByteString, right: ByteString) -> Bool { left.string.hasSameBytes(as: right.string) }

    func hash(into hasher: inout Hasher) {
        unsafe self.string.utf8.span.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
        // Ends the string, so that the next value hashed cannot run into it.
        hasher.combine(0xFF as UInt8)
    }
}
