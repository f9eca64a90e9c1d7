// SPDX-License-Identifier: Apache-2.0

package import Glibc

/// A rule for the users who may read and change a file. One rule covers every file that holds a secret.
package enum FileAccessRule: Sendable, Hashable {
    /// The rule for a file that holds a secret.
    ///
    /// The file must belong to root or to this program's user, because any other owner may read it whatever its mode
    /// is. Other users have no rights, and only the owner may write. The file's group may read it only if it belongs to
    /// root: only the superuser can have given it to that group (`root:conductor 0640`, as packages and Kubernetes'
    /// volumes do), so that the service can read its key but not replace it. If the service owns the file, the group
    /// does not need to read it.
    case secret
    /// The rule for a file that the program trusts. Every user may read it, but a user who can change it could make the
    /// program trust something else. It must belong to root or to this program's user, and only the owner may write.
    case trusted

    /// A file's violation of the rule.
    package struct Violation: Sendable, Hashable {
        /// The rest of a sentence whose subject is the file.
        package let what: String
        /// The command that repairs it.
        package let remedy: String
    }

    /// Checks a file's owner and mode.
    ///
    /// - Parameter user: the user that the program runs as.
    /// - Returns: nil for a file that complies with the rule.
    package func violation(owner: uid_t, mode: mode_t, path: String, user: uid_t = geteuid()) -> Violation? {
        guard owner == 0 || owner == user else {
            return Violation(
                what: "belongs to the user \(owner), who is neither root nor this program's user",
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

    /// Checks a file's owner and mode.
    ///
    /// - Throws: ``FileError`` of the kind ``FileError/Kind/exposed``.
    package func check(_ status: FileStatus, path: String) throws(FileError) {
        guard let violation = self.violation(owner: status.owner, mode: status.mode, path: path) else { return }
        let renewal = self == .secret ? ", and replace the secret if another user may have read it" : ""
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

    /// Returns the path quoted for a shell, if it needs quotes.
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
