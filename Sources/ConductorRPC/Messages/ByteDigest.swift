// SPDX-License-Identifier: Apache-2.0

/// A 64-bit digest of text by its bytes. `Hasher` over a `String` would first put combining marks into canonical order,
/// which takes minutes for a hostile text (`String.hasSameBytes(as:)`).
///
/// `Hasher` has a random key for each process: outsiders cannot construct two texts with the same digest, and a digest
/// means nothing to another process.
package struct ByteDigest: Sendable {
    private var hasher = Hasher()

    /// Creates a digest of no input.
    package init() {}

    /// Adds a number.
    package mutating func add(_ number: UInt64) { self.hasher.combine(number) }

    /// Adds text and its length, so that what is added next cannot be taken for a part of it.
    package mutating func add(_ text: String) {
        let bytes = text.utf8.span
        self.hasher.combine(UInt64(bytes.count))
        unsafe bytes.withUnsafeBytes { unsafe self.hasher.combine(bytes: $0) }
    }

    /// The digest of everything added.
    package var value: UInt64 { UInt64(bitPattern: Int64(self.hasher.finalize())) }
}
