import Foundation
import Glibc
import NIOConcurrencyHelpers
import SecureFiles

/// Lets one agent at a time use a spool. The system releases it when the agent's process ends, however that ends.
final class SpoolLock: Sendable {
    private final class Held: Sendable {
        let file: OpenFile

        init(_ file: consuming OpenFile) { self.file = file }
    }

    private let held: NIOLockedValueBox<Held?>
    /// While the lock is held for a look at who has it (``SpoolHolder``) an agent waits for its end, so many times.
    private static let patience = (tries: 100, pause: useconds_t(10_000))

    /// - Parameter pause: waits for a moment between two tries.
    /// - Throws: ``OutboxError`` with ``OutboxError/Code/inUse`` that names the process which holds it.
    init(
        _ directory: SpoolDirectory, in opened: CheckedDirectory,
        pause: () -> Void = { usleep(SpoolLock.patience.pause) }
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
                .inUse, "Another agent\(process) uses the spool \(directory.path); stop it, or give this one its own.")
        }
        // Only for people to read; the lock holds without it.
        LogDoubt.write(held.file, process: getpid(), isMarked: LogDoubt.isMarked(held.file))
        self.held = NIOLockedValueBox(held)
    }

    /// - Returns: false when another agent has it.
    private static func take(
        _ file: borrowing OpenFile, _ directory: SpoolDirectory, _ pause: () -> Void
    ) throws(FileError) -> Bool {
        for _ in 0..<Self.patience.tries {
            if flock(file.descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
            let code = errno
            guard code == EWOULDBLOCK else { throw FileError(code, directory.lockFile, "locked") }
            // An agent lets nobody share it. Who only looks does, and is done at once.
            guard Self.obstacle(file) == nil else { return false }
            pause()
        }
        return false
    }

    /// Takes the lock for a moment, shared, so that only an agent is kept from it.
    ///
    /// - Returns: `EWOULDBLOCK` when an agent has it, nil when none does, or the error that leaves it unknown.
    static func obstacle(_ file: borrowing OpenFile) -> Int32? {
        guard flock(file.descriptor, LOCK_SH | LOCK_NB) == 0 else { return errno }
        _ = flock(file.descriptor, LOCK_UN)
        return nil
    }

    /// The process that last wrote its id there.
    static func process(_ file: borrowing OpenFile) -> Int32? {
        guard let text = try? file.read(limit: 32) else { return nil }
        return Int32(String(decoding: text.prefix { $0 != 10 }, as: UTF8.self))
    }

    /// Lets another agent have the spool.
    func release() {
        let held = self.held.withLockedValue { held in
            defer { held = nil }
            return held
        }
        guard let held else { return }
        // A child that is being started elsewhere in this process has the descriptor too until it runs its program.
        _ = flock(held.file.descriptor, LOCK_UN)
    }

    deinit { self.release() }
}
