/// What a signed operation is remembered by: 128 bits of a SHA-256 digest, so that nobody can make two operations one.
package struct SignedOperationID: Sendable, Hashable {
    private let high: UInt64
    private let low: UInt64

    /// The identifier of the operation with this digest; its first 16 bytes count.
    package init(_ digest: [UInt8]) {
        func word(_ bytes: some Sequence<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        self.high = word(digest.prefix(8))
        self.low = word(digest.dropFirst(8).prefix(8))
    }
}

/// An operation that the control plane has signed.
package struct SignedOperation: Sendable, Hashable {
    /// What it is remembered by.
    package let id: SignedOperationID
    /// Until when its token is taken, in seconds since 1970: so long it must be remembered once it was ended.
    package let usableUntil: Int64

    /// The operation of these values.
    package init(_ id: SignedOperationID, usableUntil: Int64) {
        self.id = id
        self.usableUntil = usableUntil
    }
}
