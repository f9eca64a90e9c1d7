// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A writer to a file descriptor, which may be the pipe of a slow reader. Its errors have the system's texts.
///
/// Foundation's `FileHandle` has its own numbers for errors, and mistakes a full non-blocking pipe for a broken one.
package enum DescriptorWriter {
    /// The reason why bytes could not be written.
    package struct Failure: Error, Sendable, Hashable, CustomStringConvertible {
        /// The system's `errno`.
        package let errno: CInt

        package init(errno: CInt) { self.errno = errno }

        /// The system's text, such as `No space left on device`.
        package var description: String {
            unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
                unsafe buffer.initialize(repeating: 0)
                guard let address = buffer.baseAddress else { return "error \(self.errno)" }
                _ = unsafe strerror_r(self.errno, address, 256)
                return unsafe String(cString: address)
            }
        }
    }

    /// Writes all of the bytes, and waits for a slow reader.
    ///
    /// - Throws: ``Failure``. Part of the bytes may have been written then.
    package static func write(_ bytes: [UInt8], to descriptor: CInt) throws(Failure) {
        var written = 0
        while written < bytes.count {
            let rest = bytes.span.extracting(written...)
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                written += count
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN: self.awaitRoom(descriptor)
            case let error: throw Failure(errno: error)
            }
        }
    }

    private static func awaitRoom(_ descriptor: CInt) {
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = unsafe Glibc.poll(&poll, 1, -1)
    }
}
