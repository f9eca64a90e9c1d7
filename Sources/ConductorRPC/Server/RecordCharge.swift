/// Decides what TLS records cost that hold next to nothing. It holds no TLS.
///
/// A record of one byte takes as much work as one with a request. Honest peers send a line in a record, or a long one in records
/// that are well filled: both are free.
package struct RecordCharge: Sendable {
    /// How much plaintext pays for its record.
    package static let freeBytes = 512
    /// How many records that nothing pays for cost as much as a request, and how many records a line pays for.
    package static let recordsPerToken = 16

    private var seen: UInt64 = 0
    /// In bytes that are missing.
    private var debt = 0

    /// Nothing was read yet.
    package init() {}

    /// Plaintext was read.
    ///
    /// - Parameters:
    ///   - records: how many records the connection has had by now.
    ///   - bytes: how long the plaintext is.
    ///   - lines: how many lines ended in it.
    /// - Returns: how many requests' worth it costs besides its lines.
    package mutating func read(upTo records: UInt64, bytes: Int, lines: Int) -> Int {
        let token = Self.recordsPerToken * Self.freeBytes
        let count = Int(records - min(self.seen, records))
        self.seen = max(self.seen, records)
        self.debt = max(0, self.debt + count * Self.freeBytes - bytes - lines * token)
        defer { self.debt %= token }
        return self.debt / token
    }
}
