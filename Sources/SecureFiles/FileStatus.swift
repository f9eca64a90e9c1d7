// SPDX-License-Identifier: Apache-2.0

package import Glibc

/// The status of a file, as stat(2) reports it.
package struct FileStatus: Sendable, Hashable {
    package let device: UInt64
    package let inode: UInt64
    /// The kind of file and its permissions, as `st_mode` has them.
    package let mode: mode_t
    package let owner: uid_t
    package let group: gid_t
    /// The number of names (hard links) of the file.
    package let links: UInt64
    /// Its length in bytes.
    package let size: Int
    /// The time of the last change of its content, in seconds and nanoseconds since 1970.
    package let modified: Moment
    /// The time of the last change of its content, owner, mode or number of names.
    package let changed: Moment

    package struct Moment: Sendable, Hashable {
        package let seconds: Int
        package let nanoseconds: Int
    }

    init(_ status: stat) {
        self.device = UInt64(status.st_dev)
        self.inode = UInt64(status.st_ino)
        self.mode = status.st_mode
        self.owner = status.st_uid
        self.group = status.st_gid
        self.links = UInt64(status.st_nlink)
        self.size = Int(status.st_size)
        self.modified = Moment(seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
        self.changed = Moment(seconds: status.st_ctim.tv_sec, nanoseconds: status.st_ctim.tv_nsec)
    }

    package var isRegularFile: Bool { self.mode & S_IFMT == S_IFREG }
    package var isDirectory: Bool { self.mode & S_IFMT == S_IFDIR }
    package var isSymbolicLink: Bool { self.mode & S_IFMT == S_IFLNK }

    /// Returns whether both are the same file, whatever was written to it in between.
    package func isSameFile(as other: FileStatus) -> Bool {
        self.device == other.device && self.inode == other.inode
    }

    /// Looks up a path; symbolic links are followed unless the last name must not be one.
    ///
    /// - Returns: nil when nothing has this path.
    /// - Throws: ``FileError`` when the lookup fails, such as in a directory that this user may not search.
    package static func of(_ path: String, followingLinks: Bool = true) throws(FileError) -> FileStatus? {
        var status = stat()
        let result = unsafe followingLinks ? stat(path, &status) : lstat(path, &status)
        if result == 0 { return FileStatus(status) }
        let error = FileError(errno, path, "inspected")
        if error.kind == .missing { return nil }
        throw error
    }
}
