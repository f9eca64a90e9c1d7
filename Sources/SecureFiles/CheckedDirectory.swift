import CLinuxFiles
import Glibc

/// A directory that was opened once, and files in it that are opened relative to it.
///
/// A name in it is never taken for another file: symbolic links and special files are refused, and what is opened is looked
/// at before it is changed.
package final class CheckedDirectory: Sendable {
    /// What the program does in the directory.
    package enum Use: Sendable, Hashable {
        /// It makes and changes files. The directory must be root's or this program's user's own and nobody else may write
        /// in it; nor may anybody else exchange one of the directories that lead there. A directory of this user's own is
        /// closed to others instead of being refused. Each file in it must be root's or this user's own and have one name:
        /// another may have been put there while others could. One that holds anything else than
        /// the program's own files is not closed, but refused.
        case writing
        /// It reads files, and only of a directory that is its own it may be sure that nobody exchanges them.
        case reading
    }

    /// Its path, as it was given.
    package let path: String
    /// What the file system says of the directory itself.
    package let status: FileStatus
    private let use: Use
    private let directory: OpenFile
    private var descriptor: CInt { self.directory.descriptor }

    /// Opens the directory.
    ///
    /// - Parameters:
    ///   - path: its path.
    ///   - use: what the program does in it.
    ///   - isOwn: whether the program makes something of this name and kind there: nothing else may be in a directory that is
    ///     closed to others.
    /// - Throws: ``FileError``; of the kind ``FileError/Kind/exposed`` for a directory that breaks the rule of its use, and of
    ///   the kind ``FileError/Kind/wrongKind`` for something that is no directory.
    package init(
        _ path: String, for use: Use, isOwn: (_ name: String, _ status: FileStatus) -> Bool = { _, _ in false }
    ) throws(FileError) {
        let directory: OpenFile
        switch use {
        case .writing: directory = try DirectoryWalk.open(path, isOwn: isOwn)
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
            throw FileError(.wrongKind, path, "is no directory; name a directory", code: ENOTDIR)
        }
    }

    /// Makes the directory, for this user only, if nothing has its name.
    ///
    /// - Returns: whether it was made.
    /// - Throws: ``FileError``; with the code `ENOENT` when its parent is missing.
    package static func make(_ path: String) throws(FileError) -> Bool {
        guard unsafe mkdir(path, 0o700) == 0 else {
            switch errno {
            case EEXIST: return false
            case ENOENT:
                throw FileError(
                    .missing, path, "cannot be made: the directory that it is to be in does not exist; make that first",
                    code: ENOENT)
            case ENOTDIR:
                throw FileError(
                    .forbidden, path, "cannot be made: a name on its path is no directory; check the path",
                    code: ENOTDIR)
            case let code: throw FileError(code, path, "made")
            }
        }
        let made = try OpenFile(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, action: "opened")
        // Whatever the umask took away. Somebody else's is not touched, even where the name was exchanged.
        if try made.status().owner == geteuid() { _ = fchmod(made.descriptor, 0o700) }
        do throws(FileError) {
            try OpenFile("\(path)/..", O_RDONLY | O_DIRECTORY, action: "opened").sync()
        } catch {
            // A directory whose names this user may use and not list can only be written with all of its volume.
            guard error.code == EACCES else { throw error }
            try made.syncVolume()
        }
        return true
    }

    /// Opens a file that may be read.
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

    /// Opens a file that is changed in place, and makes it if nothing has its name. Its owner alone has rights to it.
    ///
    /// - Throws: ``FileError``, also for anything but a regular file of root's or this user's.
    package func openForChanging(_ name: String) throws(FileError) -> OpenFile {
        let file = try self.open(name, O_RDWR | O_CREAT, 0o600, "opened or made")
        let status = try file.status()
        try self.checkOwner(status, name)
        // Whatever the umask took away, or an older version had given. Of root's file a service cannot change it.
        if status.mode & 0o777 != 0o600 { _ = fchmod(file.descriptor, 0o600) }
        return file
    }

    private func open(
        _ name: String, _ flags: CInt, _ permissions: mode_t, _ action: String
    ) throws(FileError) -> OpenFile {
        // Not to wait for a pipe's writer: such a file is refused below.
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
                "belongs to the user \(status.owner), who is neither root nor this program's; see who has put it there, and "
                    + "remove it or run `chown \(geteuid()) \(FileRule.quoted(self.path(of: name)))`")
        }
    }

    /// A file that was removed since it was opened has no name any more.
    private func checkLinks(_ status: FileStatus, _ name: String) throws(FileError) {
        guard status.links <= 1 else {
            throw FileError(
                .exposed, self.path(of: name),
                "has another name elsewhere (a hard link); see who has made it, and remove one of them")
        }
    }

    /// Looks whether SQLite, which opens files by their paths, may open this one: it is a regular file, or nothing.
    ///
    /// A second name of a file could be one of ours, so it must have no other.
    ///
    /// - Throws: ``FileError``.
    package func checkOpensByPath(_ name: String) throws(FileError) {
        guard let status = try self.status(of: name) else { return }
        guard status.isRegularFile else { throw self.isNoFile(name) }
        if self.use == .writing { try self.checkOwner(status, name) }
        try self.checkLinks(status, name)
    }

    /// What the file system says of a name in the directory, of a symbolic link of the link itself; nil when there is none.
    package func status(of name: String) throws(FileError) -> FileStatus? {
        var status = stat()
        if unsafe fstatat(self.descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 { return FileStatus(status) }
        let error = FileError(errno, self.path(of: name), "looked at")
        if error.kind == .missing { return nil }
        throw error
    }

    /// When a file was made: a copy of it was made later, whatever else of it is the same.
    ///
    /// - Returns: nil when it is not known: there is no such file, the file system does not say, or the system refuses to for any
    ///   other reason, such as an old kernel, or one that allows few system calls.
    package func birth(of name: String) -> FileStatus.Moment? {
        var seconds: Int64 = 0
        var nanoseconds: UInt32 = 0
        guard unsafe linux_files_birth(self.descriptor, name, &seconds, &nanoseconds) == 0 else { return nil }
        return FileStatus.Moment(seconds: Int(seconds), nanoseconds: Int(nanoseconds))
    }

    /// Gives a file another name in the directory; a file of that name is replaced.
    ///
    /// - Throws: ``FileError``; of the kind ``FileError/Kind/missing`` when there is no such file.
    package func rename(_ name: String, to other: String) throws(FileError) {
        guard unsafe renameat(self.descriptor, name, self.descriptor, other) == 0 else {
            let code = errno
            throw FileError(code, self.path(of: code == ENOENT ? name : other), "renamed")
        }
    }

    /// Removes a name, of a symbolic link the link itself.
    ///
    /// - Returns: whether it was there.
    @discardableResult
    package func remove(_ name: String) throws(FileError) -> Bool {
        if unsafe unlinkat(self.descriptor, name, 0) == 0 { return true }
        if errno == ENOENT { return false }
        throw FileError(errno, self.path(of: name), "removed")
    }

    /// Writes a file whole, or leaves what was there: under another name first, then in its place. It is on the disk when this
    /// returns.
    ///
    /// - Throws: ``FileError``.
    package func replace(_ name: String, with bytes: [UInt8]) throws(FileError) {
        let temporary = "\(name).part"
        // What an earlier attempt has left.
        try self.remove(temporary)
        let file = try OpenFile(
            self.descriptor, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600, self.path(of: temporary),
            "made")
        do throws(FileError) {
            // Whatever the umask took away.
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

    /// Returns when names in the directory are on the disk.
    package func sync() throws(FileError) {
        guard fsync(self.descriptor) == 0 else { throw FileError(errno, self.path, "written") }
    }

    /// The names in the directory, in no order, without `.` and `..`.
    ///
    /// - Throws: ``FileError``, also when there are more than the limit.
    package func names(limit: Int = .max) throws(FileError) -> [String] {
        try self.directory.names(limit: limit)
    }

    private func path(of name: String) -> String { "\(self.path)/\(name)" }

    private func isNoFile(_ name: String) -> FileError {
        FileError(
            .wrongKind, self.path(of: name),
            "is no regular file, but a link, a directory, a pipe or a device; see who has put it there, and remove it")
    }
}
