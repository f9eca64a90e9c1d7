// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOConcurrencyHelpers

/// A file that is rewritten for each input; one for each process and purpose, because several processes fuzz at once.
struct ScratchFile: Sendable {
    private let path: String
    /// The tests read several corpora at once, each through the file of its entry, and one entry's inputs one by one.
    private let lock = NIOLock()

    init(_ purpose: String, extension ending: String = "") {
        // In memory if the machine has such a directory: thousands of files a second are written.
        let isThere = access("/dev/shm", W_OK) == 0
        let directory = isThere ? "/dev/shm" : FileManager.default.temporaryDirectory.path
        let name = "fuzzed-\(purpose)-\(ProcessInfo.processInfo.processIdentifier)"
        self.path = "\(directory)/\(name)\(ending)"
    }

    /// Writes the bytes, and passes the path to the body.
    func with<Value>(_ bytes: [UInt8], mode: Int = 0o600, _ body: (String) throws -> Value) throws -> Value {
        try self.lock.withLock {
            defer { unlink(self.path) }
            let descriptor = open(self.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw ScratchFileError(reason: errno) }
            defer { close(descriptor) }
            guard fchmod(descriptor, mode_t(mode)) == 0, write(descriptor, bytes, bytes.count) == bytes.count else {
                throw ScratchFileError(reason: errno)
            }
            return try body(self.path)
        }
    }
}

/// A scratch file that could not be written.
struct ScratchFileError: Error {
    let reason: Int32
}
