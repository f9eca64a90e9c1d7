// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The metadata that the file system has of a list of files, read without opening them. It changes when one of the
/// files changes.
///
/// Symbolic links are followed, so a link that is changed to another file or directory counts as a change.
package struct FileStamps: Hashable, Sendable {
    private struct Stamp: Hashable, Sendable {
        var device: UInt64 = 0
        var inode: UInt64 = 0
        var mode: UInt32 = 0
        var owner: UInt32 = 0
        var size: Int64 = 0
        var modified: Moment = Moment()
        var changed: Moment = Moment()
        /// The errno of a failed `stat`, which leaves the other fields unset; 0 otherwise.
        var failure: Int32 = 0
    }

    private struct Moment: Hashable, Sendable {
        var seconds = 0
        var nanoseconds = 0
    }

    private let stamps: [Stamp]

    /// Reads the metadata of the files at these paths; it may block.
    package init(_ paths: [String]) {
        self.stamps = paths.map { path in
            var status = stat()
            guard unsafe stat(path, &status) == 0 else { return Stamp(failure: errno) }
            return Stamp(
                device: UInt64(status.st_dev), inode: UInt64(status.st_ino), mode: status.st_mode, owner: status.st_uid,
                size: Int64(status.st_size),
                modified: Moment(seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec),
                changed: Moment(seconds: status.st_ctim.tv_sec, nanoseconds: status.st_ctim.tv_nsec))
        }
    }

    /// Whether a file was changed so close to this time (in seconds since 1970) that another change may not show: file
    /// systems record times in steps. The limit is 2 seconds.
    package func areFresh(at now: Int64) -> Bool {
        self.stamps.contains { abs(Int64($0.changed.seconds) - now) <= 2 }
    }
}
