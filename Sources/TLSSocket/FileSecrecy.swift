import Glibc

/// Who besides the service may read the file of a secret.
///
/// It must be root's or the service's own: any other owner may read it whatever its mode is. Others never may, and nobody besides
/// the owner may write. The owner's group may read a file of root's only: only the superuser can have handed it to that group
/// (`root:conductor 0640`, as packages and Kubernetes' volumes do it), so that the service can read its key and not replace it. Of
/// a file that the service owns itself the group has no need.
enum FileSecrecy {
    /// What is wrong with a file of this owner and mode, and the command that mends it; nil when nothing is.
    ///
    /// - Parameter user: whom the service runs as.
    static func problem(
        owner: uid_t, mode: mode_t, path: String, user: uid_t = geteuid()
    ) -> (what: String, remedy: String)? {
        guard owner == 0 || owner == user else {
            return (
                "belongs to the user \(owner), who is neither root nor this program's",
                "chown \(user == 0 ? "root" : "\(user)") \(self.quoted(path))"
            )
        }
        let isRoots = owner == 0
        let remedy = "chmod \(isRoots ? "0640" : "0600") \(self.quoted(path))"
        let opening = "has mode 0\(String(mode & 0o777, radix: 8)), which opens it to"
        if mode & 0o007 != 0 { return ("\(opening) every user of this machine", remedy) }
        if mode & 0o030 != 0 || (mode & 0o040 != 0 && !isRoots) { return ("\(opening) the file's group", remedy) }
        return nil
    }

    /// Throws `.keyExposed`.
    static func check(_ status: stat, path: String, name: String) throws(TLSError) {
        guard let problem = self.problem(owner: status.st_uid, mode: status.st_mode, path: path) else { return }
        throw TLSError(
            .keyExposed,
            "\(name) \(problem.what); run `\(problem.remedy)`, and make a new key if somebody may have read it")
    }

    /// As a shell takes it.
    private static func quoted(_ path: String) -> String {
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
