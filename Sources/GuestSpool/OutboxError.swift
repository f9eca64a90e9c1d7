/// Why an outbox does not take an operation or an outcome.
public struct OutboxError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of failure.
    public struct Code: Sendable, Hashable {
        private let value: String

        /// There is no room for another outcome, by the outbox's own limits.
        public static let full = Code(value: "full")
        /// The outcome is of an operation that was not begun, or was finished before.
        public static let notBegun = Code(value: "not begun")
        /// Another agent uses the spool.
        public static let inUse = Code(value: "in use")
        /// The spool's disk is full.
        public static let diskFull = Code(value: "disk full")
        /// The spool's directory or file may not be written.
        public static let notWritable = Code(value: "not writable")
        /// The operation runs already, under the same message id.
        public static let alreadyBegun = Code(value: "already begun")
        /// The spool's file was written by a newer version of this library; it was left as it is.
        public static let tooNew = Code(value: "too new")
        /// A SQLite database of something else lies where the spool should be; it was left as it is.
        public static let notASpool = Code(value: "not a spool")
        /// The spool was closed.
        public static let closed = Code(value: "closed")
        /// The spool's disk takes nothing, and does not fail either.
        public static let diskSlow = Code(value: "disk slow")
        /// The disk failed, or another process keeps the spool's file locked.
        public static let failed = Code(value: "failed")
        /// There is no spool in the directory.
        public static let noSpool = Code(value: "no spool")
    }

    /// What kind of failure.
    public let code: Code
    /// What happened and what to do, in a sentence.
    public let description: String

    /// An error of this kind.
    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
