package import NIOCore

/// Whose connection it is, as far as its address tells: an IPv4 address, or the first half of an IPv6 address, whose second half
/// a host chooses as it likes.
package enum NetworkAddress: Hashable, Sendable {
    /// IPv4, also where it comes mapped into IPv6.
    case v4(UInt32)
    /// A network of IPv6.
    case v6(UInt64)

    /// The address of a socket's other end; nil for what is no IP address.
    package init?(_ address: SocketAddress) {
        // Where the bytes lie in the kernel's `sockaddr_in` and `sockaddr_in6`. Their members cannot be named here: which
        // module they belong to depends on what else was imported before.
        func load<Number: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as type: Number.Type) -> Number {
            Number(
                bigEndian: unsafe address.withSockAddr { bytes, _ in
                    unsafe UnsafeRawPointer(bytes).loadUnaligned(fromByteOffset: offset, as: type)
                })
        }
        switch address {
        case .v4: self = .v4(load(4, as: UInt32.self))
        case .v6:
            let (network, host) = (load(8, as: UInt64.self), load(16, as: UInt64.self))
            // ::ffff:192.0.2.1, which a listener on :: sees.
            let isMapped = network == 0 && host >> 32 == 0xFFFF
            self = isMapped ? .v4(UInt32(truncatingIfNeeded: host)) : .v6(network)
        case .unixDomainSocket: return nil
        }
    }
}
