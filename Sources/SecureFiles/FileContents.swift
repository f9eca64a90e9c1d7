// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The contents of a file that was read once, and its status at that time. ``SecretFile`` reads a file with a secret.
package struct FileContents: Sendable {
    /// The maximum length of a file with PEM text: certificates, keys, revocation lists.
    package static let maximumPEMBytes = 16 << 20

    /// The path of the file.
    package let path: String
    /// The status of the open file, which is the one that was read.
    package let status: FileStatus
    /// The file's bytes, in one array that is never copied to grow: no copy of a secret stays in freed memory.
    package let bytes: [UInt8]

    /// Reads a file. A pipe or a device is rejected without waiting for its writer.
    ///
    /// - Parameters:
    ///   - limit: the maximum length in bytes; a longer file is rejected, so that not all of a wrong file is read.
    ///   - rule: the rule for its owner and mode, checked before it is read; nil for no rule.
    /// - Throws: ``FileError``.
    package init(_ path: String, limit: Int, rule: FileAccessRule? = nil) throws(FileError) {
        let file = try OpenFile(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, action: "read")
        let status = try file.status()
        guard status.isRegularFile else { throw Self.isNoFile(path) }
        if let rule { try rule.check(status, path: path) }
        self.path = path
        self.status = status
        self.bytes = try file.read(limit: limit, expected: status.size)
    }

    static func isNoFile(_ path: String) -> FileError {
        FileError(.wrongKind, path, "cannot be read: it is not a regular file; name the file itself")
    }
}
