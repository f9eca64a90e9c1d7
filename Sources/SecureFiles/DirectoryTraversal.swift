// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The traversal of a path: it opens one directory after the other and checks each before a name in it is used.
///
/// Each directory must belong to root or this program's user, and no other user may write in it, because such a user
/// could replace a name there. With the sticky bit, as in `/tmp`, every user may write, because users can replace the
/// names of their own files only.
///
/// In the last directory no other user may write at all. If it belongs to this user, it is closed to others
/// (``close(_:_:_:_:)``).
enum DirectoryTraversal {
    /// The maximum number of symbolic links on the way: the system's own limit.
    private static let linkLimit = 40

    /// Opens the directory at the end of a path.
    ///
    /// - Parameters:
    ///   - path: the path of the last directory.
    ///   - isOwn: whether the program itself creates entries of this name and kind there.
    /// - Throws: ``FileError`` whose path is this one, even if another directory on the way is the reason.
    static func open(_ path: String, isOwn: (String, FileStatus) -> Bool) throws(FileError) -> OpenFile {
        var links = 0
        var place = ""
        var directory = try Self.root()
        var names = Self.names(path.hasPrefix("/") ? path : try Self.workingDirectory(path) + "/" + path)
        while let name = names.popLast() {
            let status = try directory.status()
            if let problem = Self.problem(status, place.isEmpty ? "/" : place) {
                throw FileError(.exposed, path, "cannot be used safely: \(problem)")
            }
            if try Self.isLink(name, in: directory, status, path) {
                links += 1
                let target = try Self.target(of: name, in: directory, path)
                guard links <= Self.linkLimit else { throw FileError(ELOOP, path, "opened") }
                if target.hasPrefix("/") {
                    directory = try Self.root()
                    place = ""
                }
                names += Self.names(target)
            } else {
                directory = try OpenFile(
                    directory.descriptor, name, OpenFile.lookUpOnly | O_DIRECTORY | O_NOFOLLOW, 0, path, "opened")
                place += "/\(name)"
            }
        }
        // The traversal's own descriptor can only look up names.
        let opened = try OpenFile(directory.descriptor, ".", O_RDONLY | O_DIRECTORY, 0, path, "opened")
        try Self.check(last: opened, path, isOwn)
        return opened
    }

    private static func root() throws(FileError) -> OpenFile {
        try OpenFile("/", OpenFile.lookUpOnly | O_DIRECTORY, action: "opened")
    }

    /// Returns the names of a path, last name first.
    private static func names(_ path: String) -> [String] {
        path.split(separator: "/").reversed().map(String.init).filter { $0 != "." }
    }

    private static func workingDirectory(_ path: String) throws(FileError) -> String {
        guard let text = unsafe getcwd(nil, 0) else { throw FileError(errno, path, "opened") }
        defer { unsafe free(text) }
        return unsafe String(cString: text)
    }

    private static func isLink(
        _ name: String, in directory: borrowing OpenFile, _ directoryStatus: FileStatus, _ path: String
    ) throws(FileError) -> Bool {
        var status = stat()
        guard unsafe fstatat(directory.descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            throw FileError(errno, path, "opened")
        }
        let found = FileStatus(status)
        guard found.isSymbolicLink else {
            guard found.isDirectory else {
                throw FileError(.wrongKind, path, "is not a directory; name a directory", code: ENOTDIR)
            }
            return false
        }
        // Where other users may create names, a link is trusted only if it belongs to root or this user.
        guard directoryStatus.mode & 0o022 == 0 || Self.isOurs(found.owner) else {
            throw FileError(
                .exposed, path,
                "cannot be used safely: \(name), a symbolic link on the path, belongs to the user \(found.owner); use a path without it"
            )
        }
        return true
    }

    private static func target(
        of name: String, in directory: borrowing OpenFile, _ path: String
    ) throws(FileError) -> String {
        var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe target.withUnsafeMutableBytes {
            unsafe $0.baseAddress.map { unsafe readlinkat(directory.descriptor, name, $0, Int(PATH_MAX)) } ?? -1
        }
        guard count >= 0 else { throw FileError(errno, path, "opened") }
        return String(decoding: target.prefix(count), as: UTF8.self)
    }

    private static func isOurs(_ owner: uid_t) -> Bool { owner == 0 || owner == geteuid() }

    /// Returns the problem of a directory on the way, and what to do; nil when it is safe.
    private static func problem(_ status: FileStatus, _ place: String) -> String? {
        guard Self.isOurs(status.owner) || status.owner == UserNamespace.root else {
            return
                "the directory \(place) on the path belongs to the user \(status.owner), who may write in it and could "
                + "replace directories there; name a directory elsewhere"
        }
        // With the sticky bit only the owner of a file or of the directory can rename the file.
        guard status.mode & S_ISVTX == 0, let writers = Self.writers(status) else { return nil }
        let remedy =
            status.owner == geteuid()
            ? "run `chmod go-w \(FileAccessRule.quoted(place))`"
            : "run `chmod +t \(FileAccessRule.quoted(place))` as root, or \(Self.volumeRemedy)"
        return
            "\(writers) may write in the directory \(place) on the path, and could replace directories there; \(remedy)"
    }

    private static func writers(_ status: FileStatus) -> String? {
        if status.mode & 0o002 != 0 { return "every user" }
        return status.mode & 0o020 != 0 ? "the group \(status.group)" : nil
    }

    /// The advice for a volume, whose top directory belongs to root, whatever its mode; a container may have no root.
    private static let volumeRemedy =
        "create a directory for this user only (`mkdir -m 700`) in a volume and mount that (in Kubernetes by `subPath`, "
        + "see Docs/operations.md)"

    /// Checks the last directory, and closes it to others if it belongs to this user and has no sticky bit.
    ///
    /// - Throws: ``FileError`` of the kind ``FileError/Kind/exposed`` if others can still write in it, or if it belongs
    ///   to another user.
    private static func check(
        last directory: borrowing OpenFile, _ path: String, _ isOwnFile: (String, FileStatus) -> Bool
    ) throws(FileError) {
        var status = try directory.status()
        guard Self.isOurs(status.owner) else {
            throw FileError(
                .exposed, path,
                geteuid() == 0
                    ? "belongs to the user \(status.owner), and this program runs as root: that user could put links there "
                        + "to files of root; run it as that user (`setpriv --reuid=\(status.owner) --clear-groups …`), or "
                        + "name a directory that belongs to root"
                    : "belongs to the user \(status.owner), who is neither root nor this program's user; run the program as "
                        + "that user, or name a directory of its own")
        }
        let isOwn = status.owner == geteuid()
        // A directory with the sticky bit is meant for every user.
        if isOwn, status.mode & S_ISVTX == 0, Self.writers(status) != nil {
            try Self.close(directory, status, path, isOwnFile)
            status = try directory.status()
        }
        guard let writers = Self.writers(status) else { return }
        let mode = "has mode 0\(String(status.mode & 0o7777, radix: 8)), which lets \(writers) write in it"
        let subdirectoryAdvice = "name a directory in it for this user only (`mkdir -m 700`)"
        let remedy =
            switch (isOwn, status.mode & S_ISVTX != 0) {
            case (true, true): "run `chmod go-w \(FileAccessRule.quoted(path))`, or \(subdirectoryAdvice)"
            case (true, false):
                "run `chmod go-w \(FileAccessRule.quoted(path))` on a file system that supports modes, or name a directory that nothing else uses"
            case (false, true): "\(subdirectoryAdvice)"
            case (false, false):
                "and belongs to root; \(Self.volumeRemedy), or run `chown \(geteuid()) \(FileAccessRule.quoted(path))` as root"
            }
        throw FileError(.exposed, path, "\(mode)\(!isOwn && status.mode & S_ISVTX == 0 ? "," : ";") \(remedy)")
    }

    /// The maximum number of names in a directory that is closed to others: a spool has few.
    private static let nameLimit = 1000

    /// Removes the right of the group and of all others to write in a directory of this user.
    ///
    /// Kubernetes gives that right to a volume's group at each start of a pod (`fsGroup`), and a generous umask gives
    /// it to a new directory. The program's files in it that the group or others may write lose all rights but this
    /// user's. All is checked before anything is changed: a directory with entries that other users may have put there,
    /// or that are not the program's, is rejected and stays unchanged.
    private static func close(
        _ directory: borrowing OpenFile, _ status: FileStatus, _ path: String, _ isOwn: (String, FileStatus) -> Bool
    ) throws(FileError) {
        let names: [String]
        do throws(FileError) {
            names = try directory.names(limit: Self.nameLimit)
        } catch {
            // Not the directory of a spool.
            guard error.kind == .tooLong else { throw error }
            return
        }
        var files: [String] = []
        for name in names {
            var entry = stat()
            guard unsafe fstatat(directory.descriptor, name, &entry, AT_SYMLINK_NOFOLLOW) == 0 else {
                if errno == ENOENT { continue }
                throw FileError(errno, "\(path)/\(name)", "inspected")
            }
            let found = FileStatus(entry)
            if let problem = Self.problem(of: name, found, isOwn) {
                throw FileError(
                    .exposed, path,
                    "has mode 0\(String(status.mode & 0o7777, radix: 8)), and \(name) in it \(problem); remove that, or name a "
                        + "directory for this user only")
            }
            if found.isRegularFile { files.append(name) }
        }
        for name in files { Self.close(name, in: directory, path) }
        // The files first: if this process ends in between, the next one repeats all of it.
        let mode = status.mode & 0o7777 & ~0o022
        // A service manager may forbid a mode with the setuid or setgid bit (RestrictSUIDSGID=).
        if fchmod(directory.descriptor, mode) != 0 { _ = fchmod(directory.descriptor, mode & 0o777) }
    }

    /// Returns why a directory in which others may write is not closed with this entry in it; nil when it may be
    /// closed.
    private static func problem(
        of name: String, _ status: FileStatus, _ isOwn: (String, FileStatus) -> Bool
    ) -> String? {
        guard Self.isOurs(status.owner) else { return "belongs to the user \(status.owner)" }
        guard isOwn(name, status) else { return "is not a file that this program creates there" }
        guard !status.isRegularFile || status.links <= 1 else { return "has another name (a hard link)" }
        return nil
    }

    /// Removes the rights of the group and of all others to a file. Other users can replace the file until its
    /// directory is closed, so the opened file is checked once more.
    private static func close(_ name: String, in directory: borrowing OpenFile, _ path: String) {
        let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
        guard let file = try? OpenFile(directory.descriptor, name, flags, 0, "\(path)/\(name)", "opened"),
            let status = try? file.status(),
            status.isRegularFile && status.owner == geteuid() && status.links == 1 && status.mode & 0o022 != 0
        else { return }
        _ = fchmod(file.descriptor, status.mode & 0o700)
    }
}
