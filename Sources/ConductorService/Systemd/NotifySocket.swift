// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The datagram socket on which systemd receives a service's notifications (sd_notify(3)): a path, or an abstract name
/// after an `@`.
package struct NotifySocket: Sendable {
    /// The `sockaddr_un`: the family, and the name with a NUL in place of the `@`.
    private let address: [UInt8]

    /// - Parameter name: the value of `$NOTIFY_SOCKET`.
    /// - Returns: nil for a name that is neither a path nor abstract, or that is too long for a socket.
    package init?(_ name: String) {
        var bytes = Array(name.utf8)
        guard let first = bytes.first, bytes.count > 1, bytes.count < 108, !bytes.contains(0) else { return nil }
        switch first {
        case UInt8(ascii: "@"): bytes[0] = 0
        case UInt8(ascii: "/"): bytes.append(0)
        default: return nil
        }
        let family = UInt16(AF_UNIX)
        self.address = (0..<2).map { UInt8(truncatingIfNeeded: family.littleEndian >> (8 * $0)) } + bytes
    }

    /// Sends one message, without waiting.
    ///
    /// - Returns: 0, or the error number.
    package func send(_ text: String) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        let sent = unsafe self.address.withUnsafeBytes { address in
            // An array's memory is aligned for any address.
            unsafe sendto(
                descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT),
                address.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(address.count))
        }
        return sent == bytes.count ? 0 : errno
    }
}
