// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A file that is written with nothing between it and the system's calls.
final class DiskFile: Sendable {
    /// What a system call said.
    struct Failure: Error, Equatable { let number: Int32 }

    private let descriptor: Int32

    /// Opens the file for appending; it is made if it is missing.
    init(_ path: String) throws {
        self.descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard self.descriptor >= 0 else { throw Failure(number: errno) }
    }

    deinit { close(self.descriptor) }

    /// Appends bytes; they are in the system's cache then.
    func append(_ bytes: [UInt8]) throws {
        guard write(self.descriptor, bytes, bytes.count) == bytes.count else { throw Failure(number: errno) }
    }

    /// Waits until the disk has everything.
    func sync() throws {
        guard fsync(self.descriptor) == 0 else { throw Failure(number: errno) }
    }
}

/// Opens a file for a moment and writes to it.
func writeFile(_ path: String, _ text: String, isSynced: Bool) throws {
    let file = try DiskFile(path)
    try file.append(Array(text.utf8))
    if isSynced { try file.sync() }
}

/// A file's text; nil when it is not there.
func fileText(_ path: String) -> String? {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
}
