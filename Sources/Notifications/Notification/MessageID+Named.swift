// SPDX-License-Identifier: Apache-2.0

extension MessageID {
    /// Creates the identifier that these parts name: the same parts always give the same identifier.
    ///
    /// It is for notifications that may have to be made again after a crash, when the first identifier is lost. The
    /// identifier is a UUID of version 8 (RFC 9562) over the 128-bit FNV-1a hash of the parts, each preceded by its
    /// length. The hash distributes names well and needs no second crypto stack, but it is not cryptographic: a party
    /// that chooses the parts can make two names collide.
    package init(naming parts: [String]) {
        // The offset basis and the prime of FNV's 128-bit variant.
        var hash: UInt128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d
        let prime: UInt128 = 0x0000_0000_0100_0000_0000_0000_0000_013b
        func take(_ byte: UInt8) { hash = (hash ^ UInt128(byte)) &* prime }
        for part in parts {
            for shift in stride(from: 56, through: 0, by: -8) {
                take(UInt8(truncatingIfNeeded: part.utf8.count >> shift))
            }
            for byte in part.utf8 { take(byte) }
        }
        self.init(
            high: UInt64(truncatingIfNeeded: hash >> 64), low: UInt64(truncatingIfNeeded: hash), version: 8)
    }

    /// Whether ``init(naming:)`` could have made the identifier: its version is 8.
    package var isNamed: Bool { self.description.utf8.dropFirst(14).first == UInt8(ascii: "8") }
}
