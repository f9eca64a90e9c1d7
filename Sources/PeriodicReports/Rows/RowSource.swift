package import Notifications

/// Where a reporter takes its rows from: what a control plane's database says at this moment.
package protocol RowSource: Sendable {
    /// Every row there is now, or none: a source that cannot give all of them throws.
    ///
    /// - Throws: ``RowSourceError``, or `CancellationError` when the task is cancelled.
    func rows() async throws -> [JSONObject]
}

/// Why a source has no rows to give.
package struct RowSourceError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What happened, as a clause that begins with the source's name.
    package let description: String

    /// - Parameter description: what happened, as a clause that begins with the source's name.
    package init(_ description: String) { self.description = description }
}

/// A row that no notification can be made of.
package struct RowError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Which row, counted from one.
    package let row: Int
    /// What is wrong with it.
    package let error: FieldError

    /// The row's number, the field and what is wrong.
    package var description: String { "row \(self.row): \(self.error)" }
}
