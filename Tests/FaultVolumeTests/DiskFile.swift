// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A file that is written by system calls alone, without a buffer.
final class DiskFile: Sendable {
    /// The error of a system call that failed.
    struct Failure: Error, Equatable { let number: Int32 }

    private let descriptor: Int32

    /// Opens the file for appending, and creates it if it does not exist.
    init(_ path: String) throws {
        self.descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard self.descriptor >= 0 else { throw Failure(number: errno) }
    }

    deinit { close(self.descriptor) }

    /// Appends bytes; afterwards they are in the system's cache.
    func append(_ bytes: [UInt8]) throws {
        guard write(self.descriptor, bytes, bytes.count) == bytes.count else { throw Failure(number: errno) }
    }

    /// Waits until everything is on the disk.
    func sync() throws {
        guard fsync(self.descriptor) == 0 else { throw Failure(number: errno) }
    }
}

/// Opens a file, appends a text, and closes it.
func writeFile(_ path: String, _ text: String, isSynced: Bool) throws {
    let file = try DiskFile(path)
    try file.append(Array(text.utf8))
    if isSynced { try file.sync() }
}

/// Returns a file's text; nil if the file does not exist.
func fileText(_ path: String) -> String? {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
}
