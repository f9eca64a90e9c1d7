// SPDX-License-Identifier: Apache-2.0

import CLinuxFiles
import Glibc

/// A directory that is opened once, and whose files are opened relative to its descriptor.
///
/// A name in it never leads to another file: symbolic links and special files are rejected, and an opened file is
/// checked before it is changed.
package final class CheckedDirectory: Sendable {
    /// The program's use of the directory.
    package enum Use: Sendable, Hashable {
        /// The program creates and changes files.
        ///
        /// The directory must belong to root or to this program's user. No other user may write in it, or replace one
        /// of the directories on the way to it. If others may write in a directory of this user, it is closed to them
        /// (they lose the right to write) instead of being rejected, unless it holds anything but the program's own
        /// files. Each file in it must belong to root or to this user and have only one name, because other users may
        /// have put files there before.
        case writing
        /// The program reads files. Only in a directory of its own it can be sure that no other user replaces them.
        case reading
    }

    /// The path of the directory, as it was given.
    package let path: String
    /// The status of the directory itself.
    package let status: FileStatus
    private let use: Use
    private let directory: OpenFile
    private var descriptor: CInt { self.directory.descriptor }

    /// Opens the directory.
    ///
    /// - Parameters:
    ///   - path: its path.
    ///   - use: the program's use of it.
    ///   - isOwn: whether the program itself creates entries of this name and kind there. A directory with any other
    ///     entry is rejected instead of being closed to other users.
    /// - Throws: ``FileError``; of the kind ``FileError/Kind/exposed`` for a directory that breaks the rules of its
    ///   use, and of the kind ``FileError/Kind/wrongKind`` for a path that is no directory.
    package init(
        _ path: String, for use: Use, isOwn: (_ name: String, _ status: FileStatus) -> Bool = { _, _ in false }
    ) throws(FileError) {
        let directory: OpenFile
        switch use {
        case .writing: directory = try DirectoryTraversal.open(path, isOwn: isOwn)
        case .reading: directory = try Self.openAny(path)
        }
        self.path = path
        self.use = use
        self.status = try directory.status()
        self.directory = directory
    }

    private static func openAny(_ path: String) throws(FileError) -> OpenFile {
        do throws(FileError) {
            return try OpenFile(path, O_RDONLY | O_DIRECTORY, action: "opened")
        } catch {
            guard error.code == ENOTDIR, let found = try FileStatus.of(path), !found.isDirectory else { throw error }
            throw FileError(.wrongKind, path, "is not a directory; name a directory", code: ENOTDIR)
        }
    }

    /// Creates the directory, for this user only, if nothing has its name.
    ///
    /// - Returns: whether it was created.
    /// - Throws: ``FileError``; with the code `ENOENT` when its parent is missing.
    package static func make(_ path: String) throws(FileError) -> Bool {
        guard unsafe mkdir(path, 0o700) == 0 else {
            switch errno {
            case EEXIST: return false
            case ENOENT:
                throw FileError(
                    .missing, path, "cannot be created: its parent directory does not exist; create that first",
                    code: ENOENT)
            case ENOTDIR:
                throw FileError(
                    .forbidden, path, "cannot be created: a name on its path is not a directory; check the path",
                    code: ENOTDIR)
            case let code: throw FileError(code, path, "created")
            }
        }
        let made = try OpenFile(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, action: "opened")
        // Adds the bits that the umask took away. If another user has replaced the directory, theirs is not changed.
        if try made.status().owner == geteuid() { _ = fchmod(made.descriptor, 0o700) }
        do throws(FileError) {
            try OpenFile("\(path)/..", O_RDONLY | O_DIRECTORY, action: "opened").sync()
        } catch {
            // A parent that this user may search but not list can only be synchronised together with its whole volume.
            guard error.code == EACCES else { throw error }
            try made.syncVolume()
        }
        return true
    }

    /// Opens a file for reading.
    ///
    /// - Returns: nil when nothing has this name.
    /// - Throws: ``FileError``, also for anything but a regular file.
    package func openForReading(_ name: String) throws(FileError) -> OpenFile? {
        do throws(FileError) {
            return try self.open(name, O_RDONLY, 0, "read")
        } catch {
            if error.kind == .missing { return nil }
            throw error
        }
    }

    /// Opens a file to change it in place, and creates it if nothing has its name. Only its owner gets rights to it.
    ///
    /// - Throws: ``FileError``, also for anything but a regular file that belongs to root or this user.
    package func openForChanging(_ name: String) throws(FileError) -> OpenFile {
        let file = try self.open(name, O_RDWR | O_CREAT, 0o600, "opened or created")
        let status = try file.status()
        try self.checkOwner(status, name)
        // Restores bits that the umask took away, and removes rights that an older version gave. A service cannot do so
        // for a file of root.
        if status.mode & 0o777 != 0o600 { _ = fchmod(file.descriptor, 0o600) }
        return file
    }

    private func open(
        _ name: String, _ flags: CInt, _ permissions: mode_t, _ action: String
    ) throws(FileError) -> OpenFile {
        // O_NONBLOCK, so that opening a pipe does not wait for its writer: such a file is rejected below.
        let flags = flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
        let file = try OpenFile(self.descriptor, name, flags, permissions, self.path(of: name), action)
        let status = try file.status()
        guard status.isRegularFile else { throw self.isNoFile(name) }
        if self.use == .writing {
            try self.checkOwner(status, name)
            try self.checkLinks(status, name)
        }
        return file
    }

    private func checkOwner(_ status: FileStatus, _ name: String) throws(FileError) {
        guard status.owner == geteuid() || status.owner == 0 else {
            throw FileError(
                .exposed, self.path(of: name),
                "belongs to the user \(status.owner), who is neither root nor this program's user; find out where it comes from, and "
                    + "remove it or run `chown \(geteuid()) \(FileAccessRule.quoted(self.path(of: name)))`")
        }
    }

    /// Rejects a file with several names. A file that was removed after it was opened has no name, and is accepted.
    private func checkLinks(_ status: FileStatus, _ name: String) throws(FileError) {
        guard status.links <= 1 else {
            throw FileError(
                .exposed, self.path(of: name),
                "has another name (a hard link); find out where it comes from, and remove one of them")
        }
    }

    /// Checks that SQLite, which opens files by path, may open this one: it must be a regular file, or not exist.
    ///
    /// The file must have only one name, because a second one could be the name of another file of this program.
    ///
    /// - Throws: ``FileError``.
    package func checkOpensByPath(_ name: String) throws(FileError) {
        guard let status = try self.status(of: name) else { return }
        guard status.isRegularFile else { throw self.isNoFile(name) }
        if self.use == .writing { try self.checkOwner(status, name) }
        try self.checkLinks(status, name)
    }

    /// Returns the status of a name in the directory, for a symbolic link that of the link itself; nil when there is
    /// none.
    package func status(of name: String) throws(FileError) -> FileStatus? {
        var status = stat()
        if unsafe fstatat(self.descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 { return FileStatus(status) }
        let error = FileError(errno, self.path(of: name), "inspected")
        if error.kind == .missing { return nil }
        throw error
    }

    /// Returns when a file was created. A copy of a file was created later, even if all else is the same.
    ///
    /// - Returns: nil when the time is unknown: there is no such file, the file system does not record it, or the
    ///   system call fails for any other reason, such as an old kernel or a filter of system calls.
    package func creationTime(of name: String) -> FileStatus.Moment? {
        var seconds: Int64 = 0
        var nanoseconds: UInt32 = 0
        guard unsafe linux_files_birth(self.descriptor, name, &seconds, &nanoseconds) == 0 else { return nil }
        return FileStatus.Moment(seconds: Int(seconds), nanoseconds: Int(nanoseconds))
    }

    /// Renames a file within the directory; a file that has the new name is replaced.
    ///
    /// - Throws: ``FileError``; of the kind ``FileError/Kind/missing`` when there is no such file.
    package func rename(_ name: String, to other: String) throws(FileError) {
        guard unsafe renameat(self.descriptor, name, self.descriptor, other) == 0 else {
            let code = errno
            throw FileError(code, self.path(of: code == ENOENT ? name : other), "renamed")
        }
    }

    /// Removes a name; for a symbolic link, the link itself.
    ///
    /// - Returns: whether the name existed.
    @discardableResult
    package func remove(_ name: String) throws(FileError) -> Bool {
        if unsafe unlinkat(self.descriptor, name, 0) == 0 { return true }
        if errno == ENOENT { return false }
        throw FileError(errno, self.path(of: name), "removed")
    }

    /// Replaces a file atomically: writes it under another name (`.part`) first, then renames it. If that fails, the
    /// old file stays. The new file is on the disk when this returns.
    ///
    /// - Throws: ``FileError``.
    package func replace(_ name: String, with bytes: [UInt8]) throws(FileError) {
        let temporary = "\(name).part"
        // An earlier attempt may have left it.
        try self.remove(temporary)
        let file = try OpenFile(
            self.descriptor, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600, self.path(of: temporary),
            "created")
        do throws(FileError) {
            // Adds the bits that the umask took away.
            _ = fchmod(file.descriptor, 0o600)
            try file.write(bytes)
            try file.sync()
            try self.rename(temporary, to: name)
        } catch {
            _ = try? self.remove(temporary)
            throw error
        }
        try self.sync()
    }

    /// Writes the directory's names to the disk, and returns when they are there.
    package func sync() throws(FileError) {
        guard fsync(self.descriptor) == 0 else { throw FileError(errno, self.path, "written") }
    }

    /// Returns the names in the directory, in no order, without `.` and `..`.
    ///
    /// - Throws: ``FileError``, also when there are more than the limit.
    package func names(limit: Int = .max) throws(FileError) -> [String] {
        try self.directory.names(limit: limit)
    }

    private func path(of name: String) -> String { "\(self.path)/\(name)" }

    private func isNoFile(_ name: String) -> FileError {
        FileError(
            .wrongKind, self.path(of: name),
            "is not a regular file, but a link, a directory, a pipe or a device; find out where it comes from, and remove it"
        )
    }
}
