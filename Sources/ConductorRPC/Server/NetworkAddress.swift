// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The network that a connection comes from: an IPv4 address, or the prefix of an IPv6 address, because a host is free
/// to choose the rest.
package enum NetworkAddress: Hashable, Sendable {
    /// The default number of bits of an IPv6 address that count: a host gets at least a /64 network.
    package static let defaultIPv6PrefixLength = 64

    /// An IPv4 address, also when it arrives mapped into IPv6.
    case v4(UInt32)
    /// An IPv6 network, with its other bits zero.
    case v6(UInt128)

    /// Creates the network of a socket's peer; nil when its address is not an IP address.
    ///
    /// - Parameter ipv6PrefixLength: how many bits of an IPv6 address count.
    package init?(_ address: SocketAddress, ipv6PrefixLength: Int = Self.defaultIPv6PrefixLength) {
        // The offsets of the bytes in the kernel's `sockaddr_in` and `sockaddr_in6`. Their members cannot be named
        // here: which module they belong to depends on what else was imported before.
        func load<Number: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as type: Number.Type) -> Number {
            Number(
                bigEndian: unsafe address.withSockAddr { bytes, _ in
                    unsafe UnsafeRawPointer(bytes).loadUnaligned(fromByteOffset: offset, as: type)
                })
        }
        switch address {
        case .v4: self = .v4(load(4, as: UInt32.self))
        case .v6:
            let bits = UInt128(load(8, as: UInt64.self)) << 64 | UInt128(load(16, as: UInt64.self))
            // ::ffff:192.0.2.1, as a listener on :: sees an IPv4 peer.
            let isMapped = bits >> 32 == 0xFFFF
            let mask = ~UInt128(0) << UInt128(128 - min(max(ipv6PrefixLength, 1), 128))
            self = isMapped ? .v4(UInt32(truncatingIfNeeded: bits)) : .v6(bits & mask)
        case .unixDomainSocket: return nil
        }
    }
}
