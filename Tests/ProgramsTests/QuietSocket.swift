// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A TCP connection to a port of this machine that never sends anything.
final class QuietSocket: Sendable {
    private let descriptor: Int32

    init(port: String) throws {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = (UInt16(port) ?? 0).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafeBytes(of: &address) { bytes in
            connect(
                self.descriptor, bytes.bindMemory(to: sockaddr.self).baseAddress, socklen_t(bytes.count))
        }
        guard self.descriptor >= 0, status == 0 else { throw Failure(number: errno) }
    }

    deinit { close(self.descriptor) }

    /// The system's error.
    struct Failure: Error { let number: Int32 }
}
