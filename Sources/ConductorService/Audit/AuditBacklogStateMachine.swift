import DequeModule

/// Decides whether an outcome may be published as far as the audit log is concerned, and which records are to be written next. It holds
/// no I/O.
///
/// A place is reserved before a new outcome is published and is taken until its record is written: what is published always has room for
/// its record, and the backlog has no more records than its capacity, however slow the log's reader is.
package struct AuditBacklogStateMachine: Sendable {
    private let capacity: Int
    private var records: Deque<AuditRecord> = []
    private var isWriting = false
    /// How many places are taken: by outcomes that are being published, by records that wait, and by those that are being written.
    package private(set) var reserved = 0

    /// - Parameter capacity: how many places there are.
    package init(capacity: Int) { self.capacity = capacity }

    /// Reserves a place.
    ///
    /// - Returns: false when none is free; the outcome must not be published then.
    package mutating func reserve() -> Bool {
        guard self.reserved < self.capacity else { return false }
        self.reserved += 1
        return true
    }

    /// Frees the place of an outcome that needs no record.
    package mutating func release() { self.reserved -= 1 }

    /// Puts a record into the place that was reserved for it.
    ///
    /// - Returns: whether a writer has to be started.
    package mutating func append(_ record: AuditRecord) -> Bool {
        self.records.append(record)
        guard !self.isWriting else { return false }
        self.isWriting = true
        return true
    }

    /// Takes what waits, this many records at most.
    ///
    /// - Returns: the records in their order; an empty list ends the writer.
    package mutating func take(_ limit: Int) -> [AuditRecord] {
        let records = Array(self.records.prefix(limit))
        self.records.removeFirst(records.count)
        self.isWriting = !records.isEmpty
        return records
    }

    /// This many records that were taken are written: their places are free.
    package mutating func written(_ count: Int) { self.reserved -= count }

    /// Whether nothing waits, and nothing is being written.
    package var isIdle: Bool { !self.isWriting }
}
