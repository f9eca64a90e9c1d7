// SPDX-License-Identifier: Apache-2.0

/// The identifier of a signed operation: 128 bits of a SHA-256 digest, so that two operations cannot be made to
/// collide.
package struct SignedOperationID: Sendable, Hashable {
    private let high: UInt64
    private let low: UInt64

    /// Creates the identifier of the operation with this digest; only the first 16 bytes count.
    package init(_ digest: [UInt8]) {
        func word(_ bytes: some Sequence<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        self.high = word(digest.prefix(8))
        self.low = word(digest.dropFirst(8).prefix(8))
    }
}

/// An operation that the control plane has signed.
package struct SignedOperation: Sendable, Hashable {
    /// The identifier by which the operation is remembered.
    package let id: SignedOperationID
    /// The time until which its token is accepted, in seconds since 1970. An ended operation must be remembered until
    /// then.
    package let usableUntil: Int64

    /// Creates an operation with these values.
    package init(_ id: SignedOperationID, usableUntil: Int64) {
        self.id = id
        self.usableUntil = usableUntil
    }
}
