import Glibc

/// Writes to a file descriptor that may be a slow reader's pipe, and says in plain words why it cannot.
///
/// Foundation's `FileHandle` names its errors by numbers of its own, and takes a pipe that is full and does not block for a
/// broken one.
package enum DescriptorWriter {
    /// Why bytes could not be written.
    package struct Failure: Error, Sendable, Hashable, CustomStringConvertible {
        /// The system's number.
        package let errno: CInt

        package init(errno: CInt) { self.errno = errno }

        /// The system's words, such as `No space left on device`.
        package var description: String {
            unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
                unsafe buffer.initialize(repeating: 0)
                guard let address = buffer.baseAddress else { return "error \(self.errno)" }
                _ = unsafe strerror_r(self.errno, address, 256)
                return unsafe String(cString: address)
            }
        }
    }

    /// Writes all of the bytes, and waits for a reader that is slow.
    ///
    /// - Throws: ``Failure``; then a part of the bytes may have been written.
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
