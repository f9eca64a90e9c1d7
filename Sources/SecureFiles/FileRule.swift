package import Glibc

/// Which users may read and change a file. There is one rule for every file that holds a secret.
package enum FileRule: Sendable, Hashable {
    /// Whoever reads the file has its secret.
    ///
    /// It must be root's or this program's user's own: any other owner may read it whatever its mode is. Others never may,
    /// and nobody but the owner may write. The owner's group may read a file of root's only: only the superuser can have
    /// handed it to that group (`root:conductor 0640`, as packages and Kubernetes' volumes do it), so that the service can
    /// read its key and not replace it. Of a file that the service owns itself the group has no need.
    case secret
    /// Everybody may read the file; whoever can change it could give the program something else to trust. It must be root's
    /// or this program's user's own, and nobody but the owner may write.
    case trusted

    /// Why a file breaks the rule.
    package struct Violation: Sendable, Hashable {
        /// The rest of a sentence whose subject is the file.
        package let what: String
        /// The command that makes it right.
        package let remedy: String
    }

    /// - Parameter user: the user that the program runs as.
    /// - Returns: nil for a file that keeps the rule.
    package func violation(owner: uid_t, mode: mode_t, path: String, user: uid_t = geteuid()) -> Violation? {
        guard owner == 0 || owner == user else {
            return Violation(
                what: "belongs to the user \(owner), who is neither root nor this program's",
                remedy: "chown \(user == 0 ? "root" : "\(user)") \(Self.quoted(path))")
        }
        let opening = "has mode 0\(String(mode & 0o777, radix: 8)), which opens it to"
        let (others, group) = ("\(opening) every user of this machine", "\(opening) the file's group")
        switch self {
        case .secret:
            let isRoots = owner == 0
            let remedy = "chmod \(isRoots ? "0640" : "0600") \(Self.quoted(path))"
            if mode & 0o007 != 0 { return Violation(what: others, remedy: remedy) }
            if mode & 0o030 != 0 || (mode & 0o040 != 0 && !isRoots) { return Violation(what: group, remedy: remedy) }
        case .trusted:
            let remedy = "chmod go-w \(Self.quoted(path))"
            if mode & 0o002 != 0 { return Violation(what: others, remedy: remedy) }
            if mode & 0o020 != 0 { return Violation(what: group, remedy: remedy) }
        }
        return nil
    }

    /// - Throws: ``FileError`` of the kind ``FileError/Kind/exposed``.
    package func check(_ status: FileStatus, path: String) throws(FileError) {
        guard let violation = self.violation(owner: status.owner, mode: status.mode, path: path) else { return }
        let renewal = self == .secret ? ", and replace the secret if somebody may have read it" : ""
        throw FileError(.exposed, path, "\(violation.what); run `\(violation.remedy)`\(renewal)")
    }

    /// Checks the file of this path, which must be a regular one, without reading it.
    ///
    /// - Throws: ``FileError``.
    package func check(_ path: String) throws(FileError) {
        guard let status = try FileStatus.of(path) else { throw FileError(ENOENT, path, "read") }
        guard status.isRegularFile else { throw FileContents.isNoFile(path) }
        try self.check(status, path: path)
    }

    /// As a shell takes it.
    package static func quoted(_ path: String) -> String {
        let isPlain = path.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "/._-".utf8.contains(byte)
            }
        }
        return isPlain ? path : "'" + path.replacing("'", with: "'\\''") + "'"
    }
}
