/// A named place in the code where the fault bench (`Tests/Faults`) can end the process, as a power cut would.
///
/// In the programs that are shipped ``reached()`` is empty: only a build with `FAULT_POINTS` defined, which the bench
/// makes for itself, holds what ends the process.
package enum FaultPoint: String, Sendable, CaseIterable {
    /// The guest's changes are made, and the transaction is not yet committed.
    case spoolBeforeCommit = "spool.before_commit"
    /// The transaction is committed, and nobody knows yet.
    case spoolAfterCommit = "spool.after_commit"
    /// Some of the outcomes that a conductor answered for are deleted, in a transaction that is not yet committed.
    case spoolDuringDelete = "spool.during_delete"
    /// A new version of the tables is half made.
    case spoolDuringMigration = "spool.during_migration"
    /// An outcome was handed to the connection.
    case agentAfterSend = "agent.after_send"
    /// A conductor's answer arrived, and the spool does not know yet.
    case agentBeforeRecord = "agent.before_record"
    /// A notification was handed to the broker, and the broker has not confirmed it.
    case conductorBeforeConfirm = "conductor.before_confirm"
    /// The broker has confirmed, and the guest has no answer yet.
    case conductorBeforeAnswer = "conductor.before_answer"
    /// Some of a batch of messages are sent to the broker, and some are not.
    case publisherMidBatch = "publisher.mid_batch"

    /// The process is here. Ends it by SIGKILL when the bench has asked for that.
    @inlinable
    package func reached() {
        #if FAULT_POINTS
            FaultPlan.current.reached(self)
        #endif
    }
}
