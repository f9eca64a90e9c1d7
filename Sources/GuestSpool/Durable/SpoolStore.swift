// SPDX-License-Identifier: Apache-2.0

import Dispatch
import GRDB
import Logging
import NIOConcurrencyHelpers

/// The spool's current file. After damage it replaces the file with another one, without an effect on its callers.
///
/// All writes and replacements of the file run on one dispatch queue, all reads on another. Neither uses the
/// cooperative thread pool.
final class SpoolStore: Sendable {
    let directory: SpoolDirectory
    let writing = DispatchQueue(label: "guest-spool.writing")
    let logger: Logger
    private let reading = DispatchQueue(label: "guest-spool.reading")
    private let lock: SpoolLock
    /// The result of taking the file over when it was opened.
    let takeover: SpoolFile.Takeover

    private struct State {
        /// The open file; nil when the damaged file was set aside and no new one could be created yet.
        var file: SpoolFile?
        var isClosed = false
        /// The operations that this agent runs, so that damage to the file does not lose them.
        var running: [String: SpoolChange.Begin] = [:]
        /// The highest sequence that was returned to a caller.
        var lastSequence: Int64 = 0
    }
    private let state: NIOLockedValueBox<State>

    /// Opens the spool's file; a damaged one is set aside, and a new one is created from its readable rows.
    ///
    /// - Throws: ``OutboxError``.
    init(_ directory: SpoolDirectory, machine: GuestMachine = .current(), logger: Logger) throws {
        self.directory = directory
        self.logger = logger
        self.lock = try SpoolLock(directory, in: directory.openForWriting())
        self.state = NIOLockedValueBox(State())
        var opened: SpoolFile?
        do {
            var file = try Self.open(directory, running: nil, after: 0, logger)
            opened = file
            let takeover: SpoolFile.Takeover
            do {
                takeover = try file.takeOver(machine)
            } catch  where SpoolFailure(error) == .damage {
                try SpoolRepair(directory).begin(reason: Self.text(error))
                // The file is renamed before it is closed, as in repair(_:_:running:).
                let repair = Result { try Self.finishRepair(directory, running: nil, after: 0, logger) }
                try? file.close()
                opened = nil
                try repair.get()
                file = try SpoolFile(directory)
                opened = file
                takeover = try file.takeOver(machine)
            }
            self.takeover = takeover
            self.state.withLockedValue { $0.file = file }
            Self.log(takeover, directory, logger)
        } catch {
            try? opened?.close()
            if SpoolFailure.isFailedWrite(error) { LogFailureMark.set(true, directory) }
            throw SpoolFailure.error(error, directory)
        }
    }

    private static func log(_ takeover: SpoolFile.Takeover, _ directory: SpoolDirectory, _ logger: Logger) {
        if let reason = takeover.reason {
            logger.log(
                level: takeover.operations > 0 ? .error : .notice,
                "Opened a copied spool; operations that were running in it are set aside",
                metadata: [
                    "operations": "\(takeover.operations)", "reason": "\(reason)", "spool": "\(directory.path)",
                ])
        } else if takeover.operations > 0 {
            logger.warning(
                "Found operations that the last agent left running; reporting each as an error",
                metadata: ["operations": "\(takeover.operations)", "etype": "\(Spool.interruptedType)"])
        }
    }

    /// Continues a repair that was interrupted, and opens the file. A damaged file is repaired once.
    private func open(running: [SpoolChange.Begin]?) throws -> SpoolFile {
        let last = self.state.withLockedValue { $0.lastSequence }
        return try Self.open(self.directory, running: running, after: last, self.logger)
    }

    private static func open(
        _ directory: SpoolDirectory, running: [SpoolChange.Begin]?, after last: Int64, _ logger: Logger
    ) throws -> SpoolFile {
        try Self.finishRepair(directory, running: running, after: last, logger)
        do {
            return try SpoolFile(directory)
        } catch  where SpoolFailure(error) == .damage {
            try SpoolRepair(directory).begin(reason: Self.text(error))
            try Self.finishRepair(directory, running: running, after: last, logger)
            return try SpoolFile(directory)
        }
    }

    private static func finishRepair(
        _ directory: SpoolDirectory, running: [SpoolChange.Begin]?, after last: Int64, _ logger: Logger
    ) throws {
        guard let damage = try SpoolRepair(directory).finish(running: running, after: last) else { return }
        logger.critical(
            "Repaired a damaged spool: set its file aside and recovered the readable rows",
            metadata: [
                "file": "\(damage.path)", "damage": "\(damage.reason)", "running": "\(damage.recovered.running)",
                "waiting": "\(damage.recovered.waiting)", "set_aside": "\(damage.recovered.setAside)",
                "unreadable": "\(damage.unreadable)",
            ])
    }

    private static func text(_ error: any Error) -> String { (error as? DatabaseError)?.message ?? "\(error)" }

    /// Replaces this damaged file, unless that was done already. This method runs on the writing queue.
    @discardableResult
    private func repair(
        _ file: SpoolFile, _ error: any Error, running: [SpoolChange.Begin]?
    ) throws -> SpoolFile {
        try self.reading.sync {
            let (current, isClosed) = self.state.withLockedValue { ($0.file, $0.isClosed) }
            if isClosed { throw OutboxError.closed(self.directory.path) }
            if let current, current !== file { return current }
            // As long as the marker cannot be written, the file stays in use.
            try SpoolRepair(self.directory).begin(reason: Self.text(error))
            self.state.withLockedValue { $0.file = nil }
            // The file is renamed before it is closed, so that SQLite leaves it as it was found.
            let last = self.state.withLockedValue { $0.lastSequence }
            let repair = Result { try Self.finishRepair(self.directory, running: running, after: last, self.logger) }
            try? file.close()
            try repair.get()
            let opened = try SpoolFile(self.directory)
            self.state.withLockedValue { $0.file = opened }
            return opened
        }
    }

    /// The operations that this agent runs.
    private var running: [SpoolChange.Begin] { self.state.withLockedValue { Array($0.running.values) } }

    /// Returns the open file. If the last attempt to create it failed, this method retries. It runs on the writing
    /// queue.
    private func currentFile() throws -> SpoolFile {
        let (file, isClosed) = self.state.withLockedValue { ($0.file, $0.isClosed) }
        if isClosed { throw OutboxError.closed(self.directory.path) }
        if let file { return file }
        let opened = try self.open(running: self.running)
        self.state.withLockedValue { $0.file = opened }
        return opened
    }

    /// Runs a body that writes. This method is called on the writing queue. If the file proves damaged, it is repaired
    /// and the body runs again.
    func write<Success>(_ body: (Database) throws -> Success) throws -> Success {
        let file = try self.currentFile()
        do {
            return try file.database.writeWithoutTransaction(body)
        } catch  where SpoolFailure(error) == .damage {
            return try self.repair(file, error, running: self.running).database.writeWithoutTransaction(body)
        }
    }

    /// Runs a body that reads, on the reading queue. If the file proves damaged, it is repaired and the body runs
    /// again.
    ///
    /// - Throws: ``OutboxError``.
    func read<Success: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Success
    ) async throws -> Success {
        try await withCheckedThrowingContinuation { continuation in
            self.reading.async {
                let file = self.state.withLockedValue { $0.isClosed ? nil : $0.file }
                let result = Result { try file?.database.read(body) }
                switch result {
                case .success(let success?): continuation.resume(returning: success)
                case .failure(let error) where SpoolFailure(error) != .damage:
                    continuation.resume(throwing: SpoolFailure.error(error, self.directory))
                case .success(nil), .failure:
                    self.retryRead(result.map { _ in }, file, body, continuation)
                }
            }
        }
    }

    private func retryRead<Success: Sendable>(
        _ failure: Result<Void, any Error>, _ file: SpoolFile?,
        _ body: @escaping @Sendable (Database) throws -> Success,
        _ continuation: CheckedContinuation<Success, any Error>
    ) {
        self.writing.async {
            let repaired = Result {
                if let file, case .failure(let error) = failure { try self.repair(file, error) }
                return try self.currentFile()
            }
            self.reading.async {
                continuation.resume(
                    with: Result { try repaired.get().database.read(body) }
                        .mapError { SpoolFailure.error($0, self.directory) })
            }
        }
    }

    /// Repairs the damage that was found in this file. This method runs on the writing queue.
    private func repair(_ file: SpoolFile, _ error: any Error) throws {
        try self.repair(file, error, running: self.running)
    }

    /// Checks the whole file on a separate connection, and repairs it if it is damaged.
    func verify() async throws {
        guard let file = self.state.withLockedValue({ $0.isClosed ? nil : $0.file }) else { return }
        guard let error = try await file.damage() else { return }
        try await withCheckedThrowingContinuation { continuation in
            self.writing.async { continuation.resume(with: Result { try self.repair(file, error) }) }
        }
    }

    /// Records that the operation was begun. This method runs on the writing queue.
    func recordBegun(_ begin: SpoolChange.Begin) { self.state.withLockedValue { $0.running[begin.messageID] = begin } }

    /// Records that the operation's outcome is in the file. This method runs on the writing queue.
    func recordFinished(_ messageID: String) { self.state.withLockedValue { $0.running[messageID] = nil } }

    /// Whether this agent has begun the operation and not finished it.
    func isRunning(_ messageID: String) -> Bool { self.state.withLockedValue { $0.running[messageID] != nil } }

    /// Returns the size in bytes of the operation's context; nil unless this agent has begun the operation and not
    /// finished it.
    func contextSize(of messageID: String) -> Int? {
        self.state.withLockedValue { $0.running[messageID]?.context.count }
    }

    /// Records that this sequence was returned to a caller.
    func recordReturned(_ sequence: Int64) {
        self.state.withLockedValue { $0.lastSequence = max($0.lastSequence, sequence) }
    }

    /// Closes the file and lets another agent open the spool. This method runs on the writing queue.
    func close() throws {
        try self.reading.sync {
            let file = self.state.withLockedValue { state in
                defer { (state.file, state.isClosed) = (nil, true) }
                return state.file
            }
            defer { self.lock.release() }
            try file?.close()
        }
    }
}
