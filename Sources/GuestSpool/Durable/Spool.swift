public import Logging
public import Notifications

/// The durable outbox: a SQLite file that outlives the agent, whatever ends it.
///
/// When ``finish(_:)`` returns, the outcome is on the disk, not only in the system's cache; outcomes that arise at the
/// same time share one `fsync`. What is in the file stays there until a conductor has answered for it.
public final class Spool: Outbox {
    let store: SpoolStore
    let writer: SpoolWriter

    /// Opens the spool, or makes it. Operations that were running when the last agent ended wait from now on as errors
    /// of the type ``interruptedType``; in a spool that was copied or restored they are set aside, since they may have ended
    /// elsewhere or before.
    ///
    /// It takes no longer when much waits; ``verify()`` reads all of it. A file that is found damaged is set aside beside
    /// the new one, under a name with the time, and what can be read of it is carried over.
    ///
    /// - Parameters:
    ///   - path: the directory, which is made if it is missing (its parent must be there); nobody else may read it.
    ///   - configuration: limits.
    ///   - logger: told what was found.
    /// - Throws: ``OutboxError`` when another agent uses the spool, a newer version wrote it, or its disk fails.
    public static func open(
        _ path: String, configuration: Configuration = Configuration(), logger: Logger
    ) async throws -> Spool {
        try await Self.open(path, configuration: configuration, machine: .present(), logger: logger)
    }

    /// The same on a machine of this kind.
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

    /// How many operations were set aside when the spool was opened: it is a copy, or they cannot be read.
    package var setAsideWhenOpened: Int { self.store.takeover.setAside }

    /// Records whose spool it is. What another guest left in it is set aside with the reason, and never handed out: a virtual
    /// machine that was made from an image brings along what its model had not sent.
    ///
    /// - Parameter names: what the guest's certificate calls it, first the name that it goes by. The spool stays the guest's own
    ///   for as long as one of them is the name that was recorded.
    public func setGuest(_ names: [String]) { self.writer.claim(names) }

    /// The error type of an operation whose agent ended before it did.
    public static let interruptedType = "OperationInterrupted"

    /// Notes the operation on the disk.
    ///
    /// It survives the end of the agent at once, and a power cut a few milliseconds later.
    ///
    /// - Throws: ``OutboxError`` when the spool is full, or its disk fails or takes nothing for as long as the patience; the
    ///   operation was not begun.
    public func begin(_ operation: BegunOperation) async throws {
        try await self.writer.write(.begin(SpoolChange.Begin(operation)))
    }

    /// Takes the outcome. When this returns it is on the disk.
    ///
    /// - Throws: ``OutboxError``. With ``OutboxError/Code/notBegun`` or ``OutboxError/Code/closed`` the outcome was not
    ///   taken. With any other, the disk did not take it: it is kept in memory and written with the next write that
    ///   succeeds, which is tried every half minute at the latest. Nobody need call again. If the process ends before
    ///   that, the outcome is lost, and the operation is told as interrupted.
    public func finish(_ report: OutcomeReport) async throws {
        let contextSize = self.store.contextSize(of: report.messageID.description)
        try await self.writer.write(.finish(SpoolChange.Finish(report, contextSize: contextSize)))
    }

    /// Outcomes that wait, oldest first. One that cannot be read does not hold up those behind it: it is set aside, as
    /// it is, with the reason.
    public func entries(
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
                "An outcome in the spool cannot be read; it is set aside",
                metadata: ["sequence": "\(row.sequence)", "reason": "\(row.reason)"])
        } catch {
            // It is met again, and holds up nobody until then.
            self.store.logger.error(
                "An outcome in the spool cannot be read, nor set aside",
                metadata: ["sequence": "\(row.sequence)", "reason": "\(row.reason)", "error": "\(error)"])
        }
    }

    /// Forgets outcomes. A power cut may bring some of them back, to be delivered again under their message ids.
    public func remove(_ sequences: [Int64]) async throws {
        guard !sequences.isEmpty else { return }
        try await self.writer.write(.remove(sequences))
    }

    /// Keeps an outcome with the reason why no conductor takes it. When this returns that is on the disk.
    public func setAside(_ sequence: Int64, reason: String) async throws {
        try await self.writer.write(.setAside(sequence, reason: reason, at: .now()))
    }

    /// What happened since the spool was made; of one that was damaged, since then.
    public func counts() async throws -> OutboxCounts {
        var counts = OutboxCounts()
        // A transaction may take refusals from memory into the file while both are read. One that a slow disk holds up is
        // not waited for.
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

    /// Reads the whole file, beside all other work, and mends it if it is damaged: for once after the start, when there is
    /// time.
    ///
    /// - Throws: ``OutboxError`` when damage was found and the disk does not let it be mended; the file stays in use.
    public func verify() async throws { try await self.store.verify() }

    /// Calls the closure when outcomes that the disk had refused are in the spool after all, and wait.
    public func whenOutcomesArrive(_ body: @escaping @Sendable () -> Void) { self.writer.setOnArrival(body) }

    /// Writes what was asked for before, closes the file and lets another agent have it. What is called afterwards
    /// fails with ``OutboxError/Code/closed``.
    public func close() async throws { try await self.writer.close() }
}

extension Spool {
    /// A spool's limits.
    public struct Configuration: Sendable, Hashable {
        /// How many operations may run, wait, or be kept set aside, together.
        public var maximumCount = 100_000
        /// How many bytes their contexts and outcomes may take, together. Past that no operation is begun; the outcome
        /// of one that was begun is always taken, so the file can grow past it by what was running.
        public var maximumBytes = 256 << 20
        /// How many bytes are reserved for the outcome of each operation that runs.
        public var reservedBytes = 4 << 10
        /// How long ``Spool/begin(_:)``, ``Spool/finish(_:)`` and the others wait for a disk that takes nothing. Then they
        /// throw ``OutboxError/Code/diskSlow``, up to a quarter of it later. Longer than nothing.
        public var patience = Duration.seconds(30)

        /// The defaults.
        public init() {}
    }
}
