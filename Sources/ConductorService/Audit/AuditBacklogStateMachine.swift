// SPDX-License-Identifier: Apache-2.0

import DequeModule

/// A state machine that decides whether the audit log has space for an outcome that is to be published, and which
/// records are written next. It does no I/O.
///
/// A slot is reserved before a new outcome is published, and stays taken until the outcome's record is written. So a
/// published outcome always has space for its record. The backlog never has more records than its capacity, even if the
/// log's reader is slow.
package struct AuditBacklogStateMachine: Sendable {
    private let capacity: Int
    private var records: Deque<AuditRecord> = []
    private var isWriting = false
    /// The number of slots that are taken: by outcomes that are being published, by records that wait, and by records
    /// that are being written.
    package private(set) var reserved = 0

    /// - Parameter capacity: the number of slots.
    package init(capacity: Int) { self.capacity = capacity }

    /// Reserves a slot.
    ///
    /// - Returns: false if none is free. Then the outcome must not be published.
    package mutating func reserve() -> Bool {
        guard self.reserved < self.capacity else { return false }
        self.reserved += 1
        return true
    }

    /// Frees the slot of an outcome that needs no record.
    package mutating func release() { self.reserved -= 1 }

    /// Puts a record into the slot that was reserved for it.
    ///
    /// - Returns: whether a writer must be started.
    package mutating func append(_ record: AuditRecord) -> Bool {
        self.records.append(record)
        guard !self.isWriting else { return false }
        self.isWriting = true
        return true
    }

    /// Takes at most this many of the waiting records.
    ///
    /// - Returns: the records in their order. An empty list ends the writer.
    package mutating func take(_ limit: Int) -> [AuditRecord] {
        let records = Array(self.records.prefix(limit))
        self.records.removeFirst(records.count)
        self.isWriting = !records.isEmpty
        return records
    }

    /// Frees the slots of this many records, which were taken and are written now.
    package mutating func written(_ count: Int) { self.reserved -= count }

    /// Whether no record waits or is being written.
    package var isIdle: Bool { !self.isWriting }
}
