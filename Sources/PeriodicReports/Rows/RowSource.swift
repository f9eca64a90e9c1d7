// SPDX-License-Identifier: Apache-2.0

package import Notifications

/// A source of a reporter's rows: the current content of a control plane's database.
package protocol RowSource: Sendable {
    /// Returns all current rows. A source that cannot return all of them throws.
    ///
    /// - Throws: ``RowSourceError``, or `CancellationError` when the task is cancelled.
    func rows() async throws -> [JSONObject]
}

/// The error of a source that could not return its rows.
package struct RowSourceError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The problem, as a clause. From a ``RowSource`` it begins with the source's name; ``RowLineParser`` throws it
    /// without one.
    package let description: String

    /// Creates an error.
    ///
    /// - Parameter description: the problem, as a clause.
    package init(_ description: String) { self.description = description }
}

/// The error for a row from which no notification can be created.
package struct RowError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The number of the row, counted from one.
    package let row: Int
    /// The problem of the row.
    package let error: FieldError

    /// The row's number, the field and the problem.
    package var description: String { "row \(self.row): \(self.error)" }
}
