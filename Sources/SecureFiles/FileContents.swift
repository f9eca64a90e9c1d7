import Glibc

/// A file that was read once, and what the file system said of it then.
package struct FileContents: Sendable {
    /// Its path.
    package let path: String
    /// Of the open file, which is the one that was read.
    package let status: FileStatus
    /// What it holds. One array for its life: no copy of a secret stays behind from growing.
    package let bytes: [UInt8]

    /// Reads a file. A pipe or a device is refused, and nothing waits for its writer.
    ///
    /// - Parameters:
    ///   - limit: a longer file is refused; it bounds what is read of a wrong one.
    ///   - rule: who may read and change it, checked before it is read; nil for no rule.
    /// - Throws: ``FileError``.
    package init(_ path: String, limit: Int, rule: FileRule? = nil) throws(FileError) {
        let file = try OpenFile(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, action: "read")
        let status = try file.status()
        guard status.isRegularFile else { throw Self.isNoFile(path) }
        if let rule { try rule.check(status, path: path) }
        self.path = path
        self.status = status
        self.bytes = try file.read(limit: limit, expected: status.size)
    }

    /// - Throws: ``FileError`` of the kind ``FileError/Kind/exposed``.
    package func check(_ rule: FileRule) throws(FileError) { try rule.check(self.status, path: self.path) }

    static func isNoFile(_ path: String) -> FileError {
        FileError(.wrongKind, path, "cannot be read: it is no regular file; name the file itself")
    }
}
