import Glibc

/// What the file system says of files without reading them: it changes when one of them does.
///
/// Symbolic links are followed, so that a link that is turned to another file or directory counts as a change.
package struct FileStamps: Hashable, Sendable {
    private struct Stamp: Hashable, Sendable {
        var device: UInt64 = 0
        var inode: UInt64 = 0
        var mode: UInt32 = 0
        var owner: UInt32 = 0
        var size: Int64 = 0
        var modified: Moment = Moment()
        var changed: Moment = Moment()
        /// Why there is none of these; 0 otherwise.
        var failure: Int32 = 0
    }

    private struct Moment: Hashable, Sendable {
        var seconds = 0
        var nanoseconds = 0
    }

    private let stamps: [Stamp]

    /// Asks the file system, which may block.
    package init(_ paths: [String]) {
        self.stamps = paths.map { path in
            var status = stat()
            guard stat(path, &status) == 0 else { return Stamp(failure: errno) }
            return Stamp(
                device: UInt64(status.st_dev), inode: UInt64(status.st_ino), mode: status.st_mode, owner: status.st_uid,
                size: Int64(status.st_size),
                modified: Moment(seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec),
                changed: Moment(seconds: status.st_ctim.tv_sec, nanoseconds: status.st_ctim.tv_nsec))
        }
    }

    /// Whether a file was changed so shortly before this moment, in seconds since 1970, that one more change need not show:
    /// file systems count time in steps.
    package func areFresh(at now: Int64) -> Bool {
        self.stamps.contains { abs(Int64($0.changed.seconds) - now) <= 2 }
    }
}
