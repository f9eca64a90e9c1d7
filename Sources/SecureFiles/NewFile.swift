// SPDX-License-Identifier: Apache-2.0

package import Glibc

/// A file that this program creates: complete and on the disk after ``keep()``, and removed otherwise.
///
/// No existing file is opened, followed, changed or removed. The file has its permissions from the first byte.
package struct NewFile: ~Copyable {
    private let file: OpenFile
    private let directory: OpenFile
    private let name: String
    private let status: FileStatus
    private var isKept = false

    /// Creates the file; its directory must exist.
    ///
    /// - Parameter permissions: none for group and others by default; the umask may remove more.
    /// - Throws: ``FileError``, of the kind ``FileError/Kind/exists`` when something has this name.
    package init(_ path: String, permissions: mode_t = 0o600) throws(FileError) {
        var parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let name = String(parts.removeLast())
        guard !name.isEmpty, name != ".", name != ".." else {
            throw FileError(.wrongKind, path, "is a directory; name a file")
        }
        let parent = parts.isEmpty ? "." : parts.joined(separator: "/") + "/"
        let directory: OpenFile
        do throws(FileError) {
            directory = try Self.open(parent)
        } catch {
            if error.kind == .missing {
                throw FileError(
                    .missing, path, "cannot be created: its directory does not exist; create that first",
                    code: error.code)
            }
            throw FileError(error.code, path, "created")
        }
        let file = try OpenFile(
            directory.descriptor, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, permissions, path, "created")
        let status: FileStatus
        do throws(FileError) {
            status = try file.status()
        } catch {
            // This program created the name a few lines above.
            _ = unsafe unlinkat(directory.descriptor, name, 0)
            throw error
        }
        // Nothing may throw from here on: `deinit`, which removes the file, runs once every field is set.
        self.file = file
        self.directory = directory
        self.name = name
        self.status = status
    }

    /// Adds bytes.
    package func write(_ bytes: [UInt8]) throws(FileError) { try self.file.write(bytes) }

    /// Returns when the file and its name in the directory are on the disk. This does not keep the file.
    package func sync() throws(FileError) {
        try self.file.sync()
        do throws(FileError) {
            try self.directory.sync()
        } catch {
            guard error.code == EBADF else { throw error }
            try self.file.syncVolume()
        }
    }

    /// Keeps the file. Returns when the file and its name in the directory are on the disk.
    package mutating func keep() throws(FileError) {
        try self.sync()
        self.keepSynced()
    }

    /// Keeps the file after ``sync()``, so that several files can be kept together, or none.
    package mutating func keepSynced() { self.isKept = true }

    /// Opens a directory. One that this user may not list is opened only to look up names, and cannot be synchronised
    /// then.
    private static func open(_ directory: String) throws(FileError) -> OpenFile {
        do throws(FileError) {
            return try OpenFile(directory, O_RDONLY | O_DIRECTORY, action: "opened")
        } catch {
            guard error.code == EACCES else { throw error }
            return try OpenFile(directory, OpenFile.lookUpOnly | O_DIRECTORY, action: "opened")
        }
    }

    deinit {
        guard !self.isKept else { return }
        // Another file may have this name by now.
        var status = stat()
        guard unsafe fstatat(self.directory.descriptor, self.name, &status, AT_SYMLINK_NOFOLLOW) == 0,
            FileStatus(status).isSameFile(as: self.status)
        else { return }
        _ = unsafe unlinkat(self.directory.descriptor, self.name, 0)
    }

    /// Creates a file of these bytes, complete and on the disk, or creates none.
    ///
    /// - Throws: ``FileError``.
    package static func write(_ bytes: [UInt8], to path: String, permissions: mode_t = 0o600) throws(FileError) {
        var file = try NewFile(path, permissions: permissions)
        try file.write(bytes)
        try file.keep()
    }
}
