// SPDX-License-Identifier: Apache-2.0

/// A named place in the code where the fault bench (`Tests/Faults`) can end the process, as a power cut would.
///
/// In the shipped programs ``reached()`` is empty. Only a build with `FAULT_POINTS` defined, which the bench makes for
/// itself, has the code that ends the process.
package enum FaultPoint: String, Sendable, CaseIterable {
    /// The guest's changes are made, and the transaction is not yet committed.
    case spoolBeforeCommit = "spool.before_commit"
    /// The transaction is committed, and its callers are not notified yet.
    case spoolAfterCommit = "spool.after_commit"
    /// Some of the outcomes that a conductor answered for are deleted, in a transaction that is not yet committed.
    case spoolDuringDelete = "spool.during_delete"
    /// A migration to a new version of the tables is half done.
    case spoolDuringMigration = "spool.during_migration"
    /// An outcome was handed to the connection.
    case agentAfterSend = "agent.after_send"
    /// A conductor's answer arrived, and the spool has not recorded it yet.
    case agentBeforeRecord = "agent.before_record"
    /// A notification was handed to the broker, and the broker has not confirmed it.
    case conductorBeforeConfirm = "conductor.before_confirm"
    /// The broker has confirmed, and the guest has no answer yet.
    case conductorBeforeAnswer = "conductor.before_answer"
    /// Some of a batch of messages are sent to the broker, and some are not.
    case publisherMidBatch = "publisher.mid_batch"

    /// Marks that the process has reached this point. Ends it by SIGKILL if the bench has requested that.
    @inlinable
    package func reached() {
        #if FAULT_POINTS
            FaultPlan.current.reached(self)
        #endif
    }
}
