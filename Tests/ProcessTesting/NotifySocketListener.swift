// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A datagram socket that receives a service's notifications, as systemd does.
package final class NotifySocketListener: Sendable {
    /// The value of `$NOTIFY_SOCKET`.
    package let name: String
    /// The messages, in the order in which they arrive.
    package let messages: AsyncStream<String>
    private let descriptor: Int32
    private let sink: AsyncStream<String>.Continuation

    /// - Parameters:
    ///   - name: a path, or an abstract name after an `@`.
    ///   - isBusy: whether it receives nothing before ``begin()``, so that messages fill its queue.
    package init(_ name: String, isBusy: Bool = false) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw POSIXError(.EIO) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        // The exact length of the name: abstract names have no terminating zero.
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard result == 0 else {
            close(descriptor)
            throw POSIXError(.EADDRINUSE)
        }
        self.name = name
        self.descriptor = descriptor
        (self.messages, self.sink) = AsyncStream.makeStream(of: String.self)
        if !isBusy { self.begin() }
    }

    /// Receives the messages that were sent, and continues to do so.
    package func begin() {
        // Holds the listener, and so the descriptor: `stop()` must not shut down another file with the same number.
        Thread.detachNewThread { [self] in
            let (descriptor, sink) = (self.descriptor, self.sink)
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = recv(descriptor, &buffer, buffer.count, 0)
                if count < 0, errno == EINTR { continue }
                // `stop()` makes the call return no bytes, which is the end.
                guard count > 0 else { break }
                sink.yield(String(decoding: buffer[..<count], as: UTF8.self))
            }
            sink.finish()
        }
    }

    deinit { close(self.descriptor) }

    /// Ends ``messages``.
    package func stop() { shutdown(self.descriptor, Int32(SHUT_RD)) }
}
