/// Text in 64 bits, by its bytes; `Hasher` over a `String` would order its marks first, which a stranger can make take
/// minutes (`String.hasSameBytes(as:)`).
///
/// The function has a key that is random for each process: nobody outside can make two texts of one value on purpose, and
/// no value means anything to another process.
package struct ByteDigest: Sendable {
    private var hasher = Hasher()

    /// The digest of nothing yet.
    package init() {}

    /// Adds a number.
    package mutating func add(_ number: UInt64) { self.hasher.combine(number) }

    /// Adds text, and its length: what is added next cannot be taken for a part of it.
    package mutating func add(_ text: String) {
        let bytes = text.utf8.span
        self.hasher.combine(UInt64(bytes.count))
        unsafe bytes.withUnsafeBytes { unsafe self.hasher.combine(bytes: $0) }
    }

    /// The digest of what was added.
    package var value: UInt64 { UInt64(bitPattern: Int64(self.hasher.finalize())) }
}
