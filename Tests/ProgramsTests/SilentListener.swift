// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A port of 127.0.0.1 that accepts connections and never reads or sends anything.
final class SilentListener: Sendable {
    /// The port as text.
    let port: String
    private let descriptor: Int32

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(number: errno) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
                    && listen(descriptor, 64) == 0
            }
        }
        guard isListening else {
            let number = errno
            close(descriptor)
            throw Failure(number: number)
        }
        self.descriptor = descriptor
        self.port = "\(UInt16(bigEndian: address.sin_port))"
    }

    deinit { close(self.descriptor) }

    /// The system's error.
    struct Failure: Error { let number: Int32 }
}
