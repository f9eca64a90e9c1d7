// SPDX-License-Identifier: Apache-2.0

public import Logging
package import Notifications

/// The durable outbox: a SQLite file that survives the end of the agent, a crash and a power cut.
///
/// When ``finish(_:)`` returns, the outcome is on the disk, not only in the system's cache; outcomes that arise at the
/// same time share one `fsync`. An outcome stays in the file until a conductor has answered for it.
public final class Spool: Outbox {
    let store: SpoolStore
    let writer: SpoolWriter

    /// Opens the spool, or creates it. Operations that were running when the last agent ended become waiting errors of
    /// the type ``interruptedType``. In a spool that was copied or restored they are set aside instead, because they
    /// may have ended elsewhere or earlier.
    ///
    /// The time to open a spool does not grow with the number of waiting outcomes; ``verify()`` reads all of them. A
    /// damaged file is set aside next to the new one, under a name with the time, and the rows that can be read are
    /// copied into the new one.
    ///
    /// - Parameters:
    ///   - path: the spool's directory. If it is missing, it is created for this user only; its parent must exist.
    ///   - configuration: limits.
    ///   - logger: logs what was found.
    /// - Throws: ``OutboxError`` when another agent uses the spool, a newer version wrote it, the directory cannot be
    ///   used, or its disk fails.
    public static func open(
        _ path: String, configuration: Configuration = Configuration(), logger: Logger
    ) async throws -> Spool {
        try await Self.open(path, configuration: configuration, machine: .current(), logger: logger)
    }

    /// Opens the spool as on the given machine.
    static func open(
        _ path: String, configuration: Configuration = Configuration(), machine: GuestMachine, logger: Logger
    ) async throws -> Spool {
        let directory = SpoolDirectory(path: path)
        return try await directory.blocking {
            try directory.create()
            return Spool(try SpoolStore(directory, machine: machine, logger: logger), configuration)
        }
    }

    private init(_ store: SpoolStore, _ configuration: Configuration) {
        self.store = store
        self.writer = SpoolWriter(store: store, configuration: configuration)
    }

    /// The number of operations that were set aside when the spool was opened, because it is a copy or they cannot be
    /// read.
    package var setAsideWhenOpened: Int { self.store.takeover.setAside }

    /// Records the guest that owns the spool. Outcomes of another guest are set aside with the reason, and are never
    /// returned: a virtual machine that was created from an image also contains the outcomes that the original machine
    /// had not sent.
    ///
    /// - Parameter names: the guest's names in its certificate; the first one is the guest's primary name. The spool
    ///   stays this guest's own as long as one of them is the recorded name.
    package func setGuest(_ names: [String]) { self.writer.claim(names) }

    /// The error type of an operation whose agent ended before the operation did.
    package static let interruptedType = "OperationInterrupted"

    /// Records the operation in the file.
    ///
    /// The record survives the end of the agent immediately, and a power cut after about 10 ms.
    ///
    /// - Throws: ``OutboxError`` when the spool is full or closed, the operation is already running, or the disk fails
    ///   or completes no write within the write timeout. The operation was not begun.
    package func begin(_ operation: BegunOperation) async throws {
        try await self.writer.write(.begin(SpoolChange.Begin(operation)))
    }

    /// Stores the outcome. When this method returns, the outcome is on the disk.
    ///
    /// - Throws: ``OutboxError``. With ``OutboxError/Code/notBegun`` or ``OutboxError/Code/closed`` the outcome was not
    ///   accepted. With any other code, the disk did not store it: the outcome stays in memory, and the next write that
    ///   succeeds includes it. A retry runs at least every 30 seconds, so the caller need not call again. If the
    ///   process ends before that, the outcome is lost, and the operation is reported as interrupted.
    package func finish(_ report: OutcomeReport) async throws {
        let contextSize = self.store.contextSize(of: report.messageID.description)
        try await self.writer.write(.finish(SpoolChange.Finish(report, contextSize: contextSize)))
    }

    /// Returns waiting outcomes, oldest first. An outcome that cannot be read does not block later ones: it is set
    /// aside, unchanged, with the reason.
    package func entries(
        _ phase: OperationPhase?, after sequence: Int64, limit: Int
    ) async throws -> [OutboxEntry] {
        try await self.writer.claimed()
        var last = sequence
        while true {
            let found = try await self.store.entries(phase, after: last, limit: limit)
            for row in found.unreadable { await self.setAside(unreadable: row) }
            guard found.entries.isEmpty, let unreadable = found.unreadable.last else { return found.entries }
            last = unreadable.sequence
        }
    }

    private func setAside(unreadable row: (sequence: Int64, reason: String)) async {
        do {
            try await self.setAside(row.sequence, reason: "The outcome cannot be read: \(row.reason)")
            self.store.logger.error(
                "Set aside an unreadable outcome",
                metadata: ["sequence": "\(row.sequence)", "reason": "\(row.reason)"])
        } catch {
            // The outcome is read again later, and blocks no other until then.
            self.store.logger.error(
                "Failed to set aside an unreadable outcome; retrying at the next read",
                metadata: ["sequence": "\(row.sequence)", "reason": "\(row.reason)", "error": "\(error)"])
        }
    }

    /// Removes outcomes. A power cut may bring some of them back; they are then delivered again under their message
    /// ids.
    package func remove(_ sequences: [Int64]) async throws {
        guard !sequences.isEmpty else { return }
        try await self.writer.write(.remove(sequences))
    }

    /// Stores an outcome with the reason why no conductor accepts it. When this method returns, the change is on the
    /// disk.
    package func setAside(_ sequence: Int64, reason: String) async throws {
        try await self.writer.write(.setAside(sequence, reason: reason, at: .now()))
    }

    /// Returns the ledger since the spool was created; after damage, since the new file was created.
    package func counts() async throws -> OutboxCounts {
        var counts = OutboxCounts()
        // A transaction may move refusals from memory into the file while both are read. The loop does not wait for a
        // transaction that a slow disk delays.
        for _ in 0..<100 {
            let before = self.writer.refusals
            counts = try await self.store.read { try SpoolTally($0).counts }
            if let before, let after = self.writer.refusals, before == after {
                counts.refused += after.count
                break
            }
            await Task.yield()
        }
        return counts
    }

    /// Reads the whole file, while all other work continues, and repairs it if it is damaged. Call it once after the
    /// start.
    ///
    /// - Throws: ``OutboxError`` when damage was found and the disk does not allow the repair; the file stays in use.
    package func verify() async throws { try await self.store.verify() }

    /// Sets the closure that is called when outcomes that the disk had refused are in the spool after all, and wait.
    package func whenOutcomesArrive(_ body: @escaping @Sendable () -> Void) { self.writer.setOnArrival(body) }

    /// Writes all changes that were requested before, closes the file, and lets another agent open the spool. Later
    /// calls fail with ``OutboxError/Code/closed``.
    public func close() async throws { try await self.writer.close() }
}

extension Spool {
    /// A spool's limits.
    public struct Configuration: Sendable, Hashable {
        /// The maximum number of operations that run, wait or are set aside, together.
        public var maximumCount = 100_000
        /// The maximum size of their contexts and outcomes together, in bytes. When it is exceeded, no operation
        /// begins. The outcome of an operation that was begun is always accepted, so the file can exceed the limit by
        /// the size of those outcomes.
        public var maximumBytes = 256 << 20
        /// The number of bytes that are reserved for the outcome of each running operation.
        public var reservedBytes = 4 << 10
        /// The time that ``Spool/begin(_:)``, ``Spool/finish(_:)`` and the other methods wait for a disk that completes
        /// no write. Then they throw ``OutboxError/Code/diskSlow``, at most a quarter of this time later. It must be
        /// positive.
        public var writeTimeout = Duration.seconds(30)

        /// Creates a configuration with the default limits.
        public init() {}
    }
}
