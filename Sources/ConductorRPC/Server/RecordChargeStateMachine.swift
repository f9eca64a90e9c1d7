// SPDX-License-Identifier: Apache-2.0

/// A state machine that decides the cost of TLS records that hold next to nothing. It uses no TLS.
///
/// A record of one byte takes as much work as one with a request. Honest peers send a line in one record, or a long
/// line in well-filled records; both are free.
package struct RecordChargeStateMachine: Sendable {
    /// The number of bytes of plaintext that pay for a record.
    package static let freeBytes = 512
    /// The number of unpaid records that cost as much as a request, which is also the number of records that a line
    /// pays for.
    package static let recordsPerToken = 16

    private var seen: UInt64 = 0
    /// The number of bytes of plaintext that are missing to pay for all records.
    private var debt = 0

    /// Creates the state of a connection that nothing was read from.
    package init() {}

    /// Charges plaintext that was read.
    ///
    /// - Parameters:
    ///   - records: the number of records that the connection has had by now.
    ///   - bytes: the length of the plaintext.
    ///   - lines: the number of lines that ended in it.
    /// - Returns: the cost in requests, in addition to its lines.
    package mutating func read(upTo records: UInt64, bytes: Int, lines: Int) -> Int {
        let token = Self.recordsPerToken * Self.freeBytes
        let count = Int(records - min(self.seen, records))
        self.seen = max(self.seen, records)
        self.debt = max(0, self.debt + count * Self.freeBytes - bytes - lines * token)
        defer { self.debt %= token }
        return self.debt / token
    }
}
