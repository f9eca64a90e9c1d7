// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc

/// Takes a filesystem's free space.
enum VolumeFiller {
    /// Writes a file until no block is left.
    static func fill(_ path: String) async throws {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(with: Result { try Self.write(path) }) }
        }
    }

    private static func write(_ path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw VolumeError("\(path) cannot be made: \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var size = 1 << 20
        var end = 0
        while size >= 4096 {
            let result = posix_fallocate(descriptor, off_t(end), off_t(size))
            if result == 0 {
                end += size
            } else if result == ENOSPC {
                size /= 2
            } else if result != EINTR {
                throw VolumeError("\(path) cannot grow: \(String(cString: strerror(result)))")
            }
        }
        fsync(descriptor)
    }
}
