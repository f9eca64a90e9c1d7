// SPDX-License-Identifier: Apache-2.0

import GRDB
import Glibc
import SecureFiles

/// The kind of failure that a SQLite error reports. Each kind is handled differently.
enum SpoolFailure {
    /// The file's content is damaged: it is set aside, and a new file is created.
    case damage
    /// This change cannot be made, whatever the state of the disk; other changes can.
    case invalidChange
    /// The disk refuses or fails, or another process blocks the file: the failure may be temporary.
    case unavailable

    init(_ error: any Error) {
        guard let error = error as? DatabaseError else {
            self = .unavailable
            return
        }
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .damage
        case .SQLITE_CONSTRAINT, .SQLITE_MISMATCH, .SQLITE_TOOBIG, .SQLITE_RANGE: self = .invalidChange
        default: self = .unavailable
        }
    }

    /// Whether a write or an `fsync` failed: the system may then drop the data that it could not write, and report
    /// success later.
    static func isFailedWrite(_ error: any Error) -> Bool { (error as? DatabaseError)?.resultCode == .SQLITE_IOERR }

    /// Returns the error for an embedding service.
    static func error(_ error: any Error, _ directory: SpoolDirectory) -> OutboxError {
        if let error = error as? OutboxError { return error }
        if let error = error as? FileError { return directory.error(error) }
        guard let error = error as? DatabaseError else {
            return OutboxError(.failed, "The spool \(directory.path) failed: \(error)")
        }
        let full = OutboxError(.diskFull, "The disk of the spool \(directory.path) is full; free some space.")
        let notWritable = OutboxError(
            .notWritable,
            "The spool \(directory.path) cannot be written; give this user write access to it, on a writable disk.")
        switch error.resultCode {
        case .SQLITE_FULL: return full
        case .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_IOERR:
            // SQLite's error code for a full or a read-only disk depends on the file in which it found the condition
            // first.
            if Self.isFull(directory) { return full }
            if error.resultCode != .SQLITE_IOERR || Self.isReadOnly(directory) { return notWritable }
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            return OutboxError(
                .failed, "Another process has locked the spool \(directory.path) for seconds; stop that process.")
        case .SQLITE_NOMEM:
            return OutboxError(.failed, "There is too little memory for the spool \(directory.path); free some memory.")
        default: break
        }
        return OutboxError(
            .failed,
            "The spool \(directory.path) failed: \(error.message ?? "no reason given") (SQLite \(error.extendedResultCode.rawValue))."
        )
    }

    private static func isFull(_ directory: SpoolDirectory) -> Bool {
        var status = statvfs()
        guard unsafe statvfs(directory.path, &status) == 0, status.f_blocks > 0 else { return false }
        // Free blocks that are reserved for the file system or for root do not count.
        return status.f_bavail * status.f_frsize < 64 << 10 || status.f_files > 0 && status.f_ffree == 0
    }

    private static func isReadOnly(_ directory: SpoolDirectory) -> Bool {
        var status = statvfs()
        return unsafe statvfs(directory.path, &status) == 0 && status.f_flag & UInt(ST_RDONLY) != 0
    }

    /// Returns an error for content that is valid for SQLite, and not for the spool.
    static func damage(_ what: String) -> DatabaseError { DatabaseError(resultCode: .SQLITE_CORRUPT, message: what) }
}
