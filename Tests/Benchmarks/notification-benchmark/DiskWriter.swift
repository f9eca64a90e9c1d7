// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import Glibc

/// Writes like SQLite to its log, and nothing more: a frame of one page with its header, then a sync.
final class DiskWriter: Sendable {
    private static let frame = [UInt8](repeating: 0x5A, count: 4096 + 24)
    /// The length of SQLite's log before it is overwritten.
    private static let frames = 1000
    private let descriptor: Int32
    private let rewrites: Bool
    private let queue = DispatchQueue(label: "disk-writer")

    /// - Parameters:
    ///   - path: the file, which is created.
    ///   - rewrites: whether the file has its full length already.
    init(_ path: String, rewrites: Bool) throws {
        self.descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard self.descriptor >= 0 else { throw Failure(number: errno) }
        self.rewrites = rewrites
        if rewrites {
            for _ in 0..<Self.frames { try self.append() }
            fsync(self.descriptor)
            lseek(self.descriptor, 0, SEEK_SET)
        }
    }

    deinit { close(self.descriptor) }

    /// A system call that failed.
    struct Failure: Error { let number: Int32 }

    /// Returns the time of one write, on a thread that may block.
    func measure() async throws -> Duration {
        try await withCheckedThrowingContinuation { continuation in
            self.queue.async {
                continuation.resume(
                    with: Result {
                        let start = ContinuousClock.now
                        try self.append()
                        guard fdatasync(self.descriptor) == 0 else { throw Failure(number: errno) }
                        return ContinuousClock.now - start
                    })
            }
        }
    }

    private func append() throws {
        if self.rewrites, lseek(self.descriptor, 0, SEEK_CUR) >= Self.frames * Self.frame.count {
            lseek(self.descriptor, 0, SEEK_SET)
        }
        guard write(self.descriptor, Self.frame, Self.frame.count) == Self.frame.count else {
            throw Failure(number: errno)
        }
    }
}
