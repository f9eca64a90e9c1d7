// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOConcurrencyHelpers
import SecureFiles

/// A lock that lets only one agent use a spool. The system releases it when the agent's process ends for any reason.
final class SpoolLock: Sendable {
    private final class Held: Sendable {
        let file: OpenFile

        init(_ file: consuming OpenFile) { self.file = file }
    }

    private let held: NIOLockedValueBox<Held?>
    /// The number and interval (in microseconds) of the attempts to take the lock while an inspection holds it
    /// (``SpoolHolder``).
    private static let retryPolicy = (tries: 100, pause: useconds_t(10_000))

    /// Takes the lock.
    ///
    /// - Parameter pause: waits between two attempts.
    /// - Throws: ``OutboxError``; with ``OutboxError/Code/inUse``, which names the process, when another agent holds
    ///   the lock.
    init(
        _ directory: SpoolDirectory, in opened: CheckedDirectory,
        pause: () -> Void = { usleep(SpoolLock.retryPolicy.pause) }
    ) throws(OutboxError) {
        let held: Held
        let isTaken: Bool
        do throws(FileError) {
            held = Held(try opened.openForChanging(SpoolDirectory.lockFile))
            isTaken = try Self.take(held.file, directory, pause)
        } catch {
            throw directory.error(error)
        }
        guard isTaken else {
            let process = Self.process(held.file).map { ", process \($0)," } ?? ""
            throw OutboxError(
                .inUse,
                "Another agent\(process) uses the spool \(directory.path); stop it, or give this one a separate spool.")
        }
        // The process id is information for people; the lock works without it.
        LogFailureMark.write(held.file, process: getpid(), isMarked: LogFailureMark.isMarked(held.file))
        self.held = NIOLockedValueBox(held)
    }

    /// Tries to take the lock.
    ///
    /// - Returns: false when another agent holds it.
    private static func take(
        _ file: borrowing OpenFile, _ directory: SpoolDirectory, _ pause: () -> Void
    ) throws(FileError) -> Bool {
        for _ in 0..<Self.retryPolicy.tries {
            if flock(file.descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
            let code = errno
            guard code == EWOULDBLOCK else { throw FileError(code, directory.lockFile, "locked") }
            // An agent holds the lock exclusively. An inspection shares it, and releases it immediately.
            guard Self.lockError(file) == nil else { return false }
            pause()
        }
        return false
    }

    /// Takes the lock shared for a moment, which blocks only an agent.
    ///
    /// - Returns: `EWOULDBLOCK` when an agent holds it, nil when no agent does, or the error when that cannot be
    ///   determined.
    static func lockError(_ file: borrowing OpenFile) -> Int32? {
        guard flock(file.descriptor, LOCK_SH | LOCK_NB) == 0 else { return errno }
        _ = flock(file.descriptor, LOCK_UN)
        return nil
    }

    /// Returns the id of the process that last wrote it into the file.
    static func process(_ file: borrowing OpenFile) -> Int32? {
        guard let text = try? file.read(limit: 32) else { return nil }
        return Int32(String(decoding: text.prefix { $0 != 10 }, as: UTF8.self))
    }

    /// Lets another agent use the spool.
    func release() {
        let held = self.held.withLockedValue { held in
            defer { held = nil }
            return held
        }
        guard let held else { return }
        // A child process that another thread is starting also has the descriptor until it executes its program.
        _ = flock(held.file.descriptor, LOCK_UN)
    }

    deinit { self.release() }
}
