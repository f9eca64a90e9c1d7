/// A promise that is broken on purpose, so that the fault bench (`Tests/Faults`) can show that it would notice.
///
/// In the programs that are shipped nothing can switch one on.
package enum Sabotage: String, Sendable, CaseIterable {
    /// The conductor answers before the broker has confirmed.
    case acknowledgeBeforeConfirm = "acknowledge_before_confirm"
    /// The guest forgets an outcome when it is sent, not when it is answered.
    case deleteBeforeAnswer = "delete_before_answer"
    /// The guest's spool does not wait until the disk has what was written.
    case noSync = "no_fsync"

    /// Whether the bench has broken it.
    @inlinable
    package var isOn: Bool {
        #if FAULT_POINTS
            FaultPlan.current.sabotage == self
        #else
            false
        #endif
    }
}
