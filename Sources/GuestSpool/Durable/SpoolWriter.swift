// SPDX-License-Identifier: Apache-2.0

import DequeModule
import Dispatch
import FaultPoints
import GRDB
import Logging
import NIOConcurrencyHelpers
import Notifications
import SecureFiles
import Timing

/// Writes changes in batches. Changes that arrive while one batch is being written form the next batch, so that many
/// operations share one `fsync`.
///
/// ``SpoolWriterStateMachine`` decides; this class writes to the file, sets timers and resumes callers. It does so in
/// turns of the writing queue.
final class SpoolWriter: Sendable {
    let store: SpoolStore
    let configuration: Spool.Configuration
    let machine: NIOLockedValueBox<SpoolWriterStateMachine>
    let onArrival: NIOLockedValueBox<(@Sendable () -> Void)?> = NIOLockedValueBox(nil)

    init(store: SpoolStore, configuration: Spool.Configuration) {
        self.store = store
        self.configuration = configuration
        self.machine = NIOLockedValueBox(
            SpoolWriterStateMachine(
                configuration: configuration, path: store.directory.path, isLogSuspect: store.takeover.isLogSuspect,
                unrecordedOrigin: store.takeover.unrecordedOrigin))
    }

    /// Sets the closure that is called when outcomes that the disk had refused are in the file after all.
    func setOnArrival(_ body: @escaping @Sendable () -> Void) { self.onArrival.withLockedValue { $0 = body } }

    /// The number of refused operations that are not in the tally yet, and a counter that shows whether that changed
    /// since; nil while a transaction is adding them to the tally.
    var refusals: (count: Int, transfers: Int)? {
        self.machine.withLockedValue { machine in
            machine.refusalTransfers.isInProgress ? nil : (machine.refusals, machine.refusalTransfers.count)
        }
    }

    /// The number of changes that no transaction has taken yet.
    var pendingCount: Int { self.machine.withLockedValue { $0.pending.count } }

    /// Makes a change, and returns when it is committed, and on the disk if it needs to be.
    ///
    /// The caller's cancellation does not stop the change: an outcome is written in any case.
    ///
    /// - Throws: ``OutboxError``; with ``OutboxError/Code/diskSlow`` when the disk has not completed the change within
    ///   the write timeout.
    func write(_ change: SpoolChange) async throws {
        try await withCheckedThrowingContinuation { continuation in
            let write = SpoolWrite(
                change, continuation, deadline: .now() + self.configuration.writeTimeout.dispatchInterval)
            if let refusal = self.enqueue(write) { write.answer(.failure(refusal)) }
        }
    }

    /// Adds a change to the queue; returns why the change is rejected, or nil when it is accepted.
    @discardableResult
    func enqueue(_ write: SpoolWrite) -> OutboxError? {
        switch self.machine.withLockedValue({ $0.enqueue(write) }) {
        case .success(let accepted):
            self.schedule(accepted.wakeup)
            if accepted.startsDeadlineChecks { self.scheduleDeadlineCheck() }
            return nil
        case .failure(let error): return error
        }
    }

    /// Schedules the next turn of the writing queue.
    func schedule(_ wakeup: SpoolWriterStateMachine.Wakeup?) {
        switch wakeup {
        case .now: self.store.writing.async { self.runTurn() }
        case .at(let time):
            self.store.writing.asyncAfter(deadline: time) { [weak self] in
                guard let self, self.machine.withLockedValue({ $0.recordTimer(time) }) else { return }
                self.runTurn()
            }
        case nil: break
        }
    }

    /// Runs one turn, and schedules the next one. This method and all that follow run on the writing queue.
    ///
    /// - Returns: whether there was something to do.
    @discardableResult
    private func runTurn() -> Bool {
        let turn = self.machine.withLockedValue { $0.startTurn(.now()) }
        switch turn {
        case .write(let transaction): self.write(transaction)
        case .claim(let claim, let progress): self.advance(claim, progress)
        case .vacuum: self.vacuum()
        case nil: break
        }
        self.schedule(self.machine.withLockedValue { $0.endTurn() })
        return turn != nil
    }

    /// Makes a transaction and answers its callers. A change that cannot be made does not affect the others.
    private func write(_ transaction: SpoolWriterStateMachine.Transaction) {
        var transaction = transaction
        var changes: [SpoolChange] = transaction.unwritten.map { .finish($0) } + transaction.writes.map(\.change)
        var results = self.attempt(&changes, isSynced: transaction.isSynced) {
            let more = self.machine.withLockedValue { $0.extendTransaction() }
            if more.isEmpty { return [] }
            transaction.writes += more
            return more.map(\.change)
        }
        self.recordInStore(changes, results, retries: transaction.unwritten.count)
        let recovered = self.machine.withLockedValue { machine in
            machine.recordResults(of: transaction, &results, isRunning: self.store.isRunning, .now())
        }
        var isLate = false
        for (write, result) in zip(transaction.writes, results.dropFirst(transaction.unwritten.count))
        where !write.answer(result) {
            isLate = self.handleLateResult(write, result) || isLate
        }
        if recovered > 0 {
            self.store.logger.notice(
                "Wrote outcomes that were stored in memory while the spool's disk failed",
                metadata: ["outcomes": "\(recovered)"])
        }
        if isLate || recovered > 0 { self.onArrival.withLockedValue { $0 }?() }
        if !transaction.isSyncOnly { self.checkpointLog() }
    }

    /// Records in the store which operations run.
    ///
    /// - Parameter retries: the number of outcomes, at the beginning, that the disk had refused earlier.
    private func recordInStore(_ changes: [SpoolChange], _ results: [Result<Void, OutboxError>], retries: Int) {
        for (index, change) in changes.enumerated() {
            switch (change, results[index]) {
            case (.begin(let begin), .success): self.store.recordBegun(begin)
            case (.finish(let finish), .success): self.store.recordFinished(finish.messageID)
            case (.finish(let finish), .failure)
            where index < retries && SpoolWriterStateMachine.isStored(results[index]):
                self.store.recordFinished(finish.messageID)
            case (.cancel(let messageID), .success): self.store.recordFinished(messageID)
            default: break
            }
        }
    }

    /// Makes changes in one transaction, or each in its own when one of them cannot be made.
    ///
    /// - Parameter more: returns changes that arrived in the meantime and join the transaction; it is called until it
    ///   returns none.
    private func attempt(
        _ changes: inout [SpoolChange], isSynced: Bool, _ more: () -> [SpoolChange] = { [] }
    ) -> [Result<Void, OutboxError>] {
        var results: [Result<Void, OutboxError>] = []
        do {
            try self.store.write { db in
                results = []
                try self.commit(&changes, more, db, isSynced: isSynced, &results)
            }
            return results
        } catch  where SpoolFailure(error) == .invalidChange && changes.count > 1 {
            // One change cannot be made; the others must not fail because of it.
            return changes.flatMap { change in
                var alone = [change]
                // What need not wait for the disk stays overdue, and the next transaction is synced.
                return self.attempt(&alone, isSynced: change.needsSync)
            }
        } catch {
            if SpoolFailure.isFailedWrite(error) { self.markLogSuspect() }
            let failure = SpoolFailure.error(error, self.store.directory)
            let refused = results.count { Self.isFull($0) }
            self.machine.withLockedValue { machine in
                machine.recordFailure(refused: refused, isSyncOnly: changes.isEmpty, .now())
            }
            // The spool has no space for the refused operations in either case. Other results may depend on changes
            // that were rolled back.
            return changes.indices.map { index in
                index < results.count && Self.isFull(results[index]) ? results[index] : .failure(failure)
            }
        }
    }

    /// Whether the spool refused an operation because of its limits.
    private static func isFull(_ result: Result<Void, OutboxError>) -> Bool {
        if case .failure(let refusal) = result { return refusal.code == .full }
        return false
    }

    private func commit(
        _ changes: inout [SpoolChange], _ more: () -> [SpoolChange], _ db: Database, isSynced: Bool,
        _ results: inout [Result<Void, OutboxError>]
    ) throws {
        try self.checkpointSuspectLog(db)
        var origin = self.unrecordedOrigin()
        var recorded: SpoolOrigin?
        // SQLite applies this setting only outside of transactions.
        try db.execute(
            sql: isSynced && !Sabotage.noSync.isOn ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL")
        let refusals = self.machine.withLockedValue { $0.startRefusalTransfer() }
        try db.inTransaction(.immediate) {
            let before = try SpoolTally(db)
            var tally = before
            repeat {
                for change in changes[results.count...] {
                    do {
                        if case .begin = change {
                            try origin?.save(db)
                            recorded = origin ?? recorded
                            origin = nil
                        }
                        try change.apply(db, &tally, self.configuration)
                        results.append(.success(()))
                    } catch let error as OutboxError {
                        // The error was found before anything was changed.
                        if error.code == .full { tally.counts.refused += 1 }
                        results.append(.failure(error))
                    }
                }
                changes += more()
            } while results.count < changes.count
            tally.counts.refused += refusals
            try tally.save(db)
            if isSynced, tally == before {
                // SQLite does not write a page whose content stays the same, and a transaction without pages does not
                // wait for the disk. This statement always writes a page, so that the sync covers all earlier commits
                // too.
                try db.execute(sql: "PRAGMA user_version = 0")
            }
            FaultPoint.spoolBeforeCommit.reached()
            return .commit
        }
        FaultPoint.spoolAfterCommit.reached()
        let storesOutcomes = isSynced && changes.contains(where: \.needsSync)
        let claimed = self.machine.withLockedValue { machine in
            machine.recordCommit(
                isSynced: isSynced, storesOutcomes: storesOutcomes, refusals: refusals, origin: recorded, .now())
        }
        self.claim(claimed)
    }

    /// Shrinks the file after a backlog, one step in each turn, so that other changes are written in between.
    private func vacuum() {
        do {
            if try self.store.write(SpoolFile.vacuum) {
                self.machine.withLockedValue { $0.isVacuumRequested = true }
            }
        } catch {
            // A disk that fails does not need the free space now; the next removal retries.
            if SpoolFailure.isFailedWrite(error) { self.markLogSuspect() }
        }
    }

    /// Writes all changes that were requested before, and closes the file. Later requests fail.
    ///
    /// - Throws: ``OutboxError``.
    func close() async throws {
        guard self.machine.withLockedValue({ $0.close() }) else { return }
        try await withCheckedThrowingContinuation { continuation in
            self.store.writing.async {
                // On this queue no write is in progress.
                while self.runTurn() {}
                let lost = self.machine.withLockedValue { $0.unwritten.count }
                if lost > 0 {
                    self.store.logger.critical(
                        "Failed to write outcomes that were stored in memory; the next agent reports them as interrupted",
                        metadata: ["outcomes": "\(lost)", "spool": "\(self.store.directory.path)"])
                }
                continuation.resume(
                    with: Result { try self.store.close() }
                        .mapError { SpoolFailure.error($0, self.store.directory) })
            }
        }
    }
}
