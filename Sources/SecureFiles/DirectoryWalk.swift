import Glibc

/// Opens a directory one name after the other, so that each directory on the way is looked at before a name in it is used.
///
/// Each must be root's or this program's user's own. Who else can write in one of them could exchange a name there; in a
/// directory with the sticky bit, as `/tmp` has it, only that of a file of their own. Its group may write in a directory on
/// the way if this process is of that group or the group is root's; in the last directory nobody else may.
enum DirectoryWalk {
    /// Symbolic links on the way, at most: the system's own limit.
    private static let linkLimit = 40
    /// `O_PATH` of fcntl.h, which glibc shows to those alone who ask for GNU's names: needs no right to read the directory.
    private static let lookUpOnly: CInt = 0o10_000_000

    /// - Throws: ``FileError`` whose path is this one, whichever directory on the way is at fault.
    static func open(_ path: String) throws(FileError) -> OpenFile {
        var links = 0
        var place = ""
        var directory = try Self.root()
        var names = Self.names(path.hasPrefix("/") ? path : try Self.workingDirectory(path) + "/" + path)
        while let name = names.popLast() {
            let status = try directory.status()
            if let flaw = Self.flaw(status, place.isEmpty ? "/" : place) {
                throw FileError(
                    .exposed, path, "cannot be used safely: \(flaw), and could have another put in its place")
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
                    directory.descriptor, name, Self.lookUpOnly | O_DIRECTORY | O_NOFOLLOW, 0, path, "opened")
                place += "/\(name)"
            }
        }
        if let flaw = try Self.flawOfLast(directory.status(), path) { throw FileError(.exposed, path, flaw) }
        // The walk's own descriptor is for looking up names only.
        return try OpenFile(directory.descriptor, ".", O_RDONLY | O_DIRECTORY, 0, path, "opened")
    }

    private static func root() throws(FileError) -> OpenFile {
        try OpenFile("/", Self.lookUpOnly | O_DIRECTORY, action: "opened")
    }

    /// Last name first.
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
                throw FileError(.wrongKind, path, "is no directory; name a directory", code: ENOTDIR)
            }
            return false
        }
        // Where others may make names, only a link of ours is ours.
        guard directoryStatus.mode & 0o022 == 0 || Self.isOurs(found.owner) else {
            throw FileError(
                .exposed, path,
                "cannot be used safely: \(name), a symbolic link on the way, belongs to the user \(found.owner)")
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

    /// What is wrong with a directory that leads to another.
    private static func flaw(_ status: FileStatus, _ place: String) -> String? {
        guard Self.isOurs(status.owner) else {
            return "the directory \(place) on the way belongs to the user \(status.owner), who may write in it"
        }
        // A file in it can be renamed by its owner and the directory's only.
        if status.mode & S_ISVTX != 0 { return nil }
        if status.mode & 0o002 != 0 { return "every user may write in the directory \(place) on the way" }
        if status.mode & 0o020 != 0, !Self.isOurGroup(status.group) {
            return "the group \(status.group) may write in the directory \(place) on the way"
        }
        return nil
    }

    private static func isOurGroup(_ group: gid_t) -> Bool {
        if group == 0 || group == getegid() { return true }
        let count = getgroups(0, nil)
        guard count > 0 else { return false }
        var groups = [gid_t](repeating: 0, count: Int(count))
        return unsafe getgroups(count, &groups) > 0 && groups.contains(group)
    }

    /// What is wrong with the directory itself.
    private static func flawOfLast(_ status: FileStatus, _ path: String) -> String? {
        guard Self.isOurs(status.owner) else {
            return geteuid() == 0
                ? "belongs to the user \(status.owner), and this program runs as root: that user could put links there to "
                    + "files of root's; run it as that user (`setpriv --reuid=\(status.owner) --clear-groups …`), or name "
                    + "a directory of root's"
                : "belongs to the user \(status.owner), who is neither root nor this program's; run the program as that "
                    + "user, or name a directory of its own"
        }
        guard status.mode & 0o022 != 0 else { return nil }
        let writers = status.mode & 0o002 != 0 ? "every user" : "its group"
        return "has mode 0\(String(status.mode & 0o7777, radix: 8)), which lets \(writers) write in it; run "
            + "`chmod go-w \(FileRule.quoted(path))`, or name a directory in it that is this user's alone"
    }
}
