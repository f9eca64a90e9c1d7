// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The reason why a file or directory cannot be used.
package struct FileError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of failure.
    package enum Kind: Sendable, Hashable {
        /// Nothing has this name.
        case missing
        /// The file may exist, but this user may not look it up, read it or write it.
        case forbidden
        /// Something has this name already.
        case exists
        /// The file is a symbolic link, a directory, a pipe or another special file.
        case wrongKind
        /// The owner or mode of the file gives rights to users who must not have them.
        case exposed
        /// The file is longer, or the directory has more names, than the reader accepts.
        case tooLong
        /// The disk is full, or a quota is exceeded.
        case diskFull
        /// Anything else that the system reports.
        case failed
    }

    /// The kind of failure.
    package let kind: Kind
    /// The path of the file or directory.
    package let path: String
    /// The rest of a sentence whose subject is the file: what is wrong, and what to do.
    package let clause: String
    /// The system's `errno`; 0 if a check of this module failed.
    package let code: CInt

    /// The error as a sentence.
    package var description: String { "\(self.path) \(self.clause)." }

    package init(_ kind: Kind, _ path: String, _ clause: String, code: CInt = 0) {
        self.kind = kind
        self.path = path
        self.clause = clause
        self.code = code
    }

    /// Creates the error for a system call that failed.
    ///
    /// - Parameters:
    ///   - code: the `errno` of a system call.
    ///   - action: the action that failed: "read", "opened", "made", "written".
    package init(_ code: CInt, _ path: String, _ action: String) {
        let reason = unsafe String(cString: strerror(code))
        let kind: Kind
        let clause: String
        switch code {
        case ENOENT: (kind, clause) = (.missing, "does not exist; check the path")
        case ENOTDIR:
            (kind, clause) = (.missing, "does not exist: a name on its path is not a directory; check the path")
        case EACCES, EPERM:
            (kind, clause) = (.forbidden, "cannot be \(action): \(reason); check its permissions and owner")
        case EROFS: (kind, clause) = (.forbidden, "cannot be \(action): \(reason); use a disk that is writable")
        case EEXIST:
            (kind, clause) = (
                .exists, "exists already; name a file that does not exist, so that no file is overwritten"
            )
        case ELOOP:
            (kind, clause) = (
                .wrongKind, "leads through a loop of symbolic links, or too many of them; correct the links"
            )
        case EISDIR: (kind, clause) = (.wrongKind, "is a directory; name a file")
        case ENOSPC, EDQUOT:
            (kind, clause) = (
                .diskFull, "cannot be \(action): the disk is full or a quota is exceeded; free disk space"
            )
        default: (kind, clause) = (.failed, "cannot be \(action): \(reason)")
        }
        self.init(kind, path, clause, code: code)
    }

    /// Creates the error for a file that could not be opened.
    ///
    /// - Parameters:
    ///   - code: the `errno` of open(2).
    ///   - flags: the flags of the same call, which distinguish some failures.
    init(_ code: CInt, opening path: String, _ flags: CInt, _ action: String) {
        switch code {
        case ELOOP where flags & O_NOFOLLOW != 0:
            self.init(.wrongKind, path, "is a symbolic link; name the file itself", code: code)
        case ENOENT where flags & O_CREAT != 0:
            self.init(.missing, path, "cannot be created: its directory does not exist; create that first", code: code)
        default: self.init(code, path, action)
        }
    }
}
