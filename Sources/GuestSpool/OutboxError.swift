// SPDX-License-Identifier: Apache-2.0

/// An error that an outbox throws when it cannot store an operation or an outcome.
public struct OutboxError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of failure.
    public struct Code: Sendable, Hashable {
        private let value: String

        /// The outbox's own limits leave no space for another outcome.
        public static let full = Code(value: "full")
        /// The outcome is of an operation that was not begun, or was finished before.
        package static let notBegun = Code(value: "not begun")
        /// Another agent uses the spool.
        public static let inUse = Code(value: "in use")
        /// The spool's disk is full.
        public static let diskFull = Code(value: "disk full")
        /// The spool's directory or file cannot be read or written by this user.
        public static let notWritable = Code(value: "not writable")
        /// An operation with the same message id is already running.
        package static let alreadyBegun = Code(value: "already begun")
        /// A newer version of this library wrote the spool's file. The file was not changed.
        public static let tooNew = Code(value: "too new")
        /// The spool's file is a SQLite database of another program. The file was not changed.
        public static let notASpool = Code(value: "not a spool")
        /// The spool was closed.
        public static let closed = Code(value: "closed")
        /// The spool's disk neither completes a write nor fails. An operation also gets this error when it waited too
        /// long to begin because outcomes of another guest were being set aside.
        public static let diskSlow = Code(value: "disk slow")
        /// The disk failed, memory ran out, another process keeps the spool's file locked, or the file is damaged or
        /// must be opened by an agent first.
        public static let failed = Code(value: "failed")
        /// There is no spool in the directory.
        package static let noSpool = Code(value: "no spool")
    }

    /// The kind of failure.
    public let code: Code
    /// What happened and what to do, as text for people.
    public let description: String

    /// Creates an error of this kind.
    package init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    /// Returns the error for a caller that comes after the spool in this directory was closed.
    static func closed(_ path: String) -> OutboxError { OutboxError(.closed, "The spool \(path) was closed.") }
}
