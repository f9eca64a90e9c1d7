// SPDX-License-Identifier: Apache-2.0

/// A promise that is broken on purpose, so that the fault bench (`Tests/Faults`) can show that it detects the breach.
///
/// In the shipped programs nothing can turn one on.
package enum Sabotage: String, Sendable, CaseIterable {
    /// The conductor answers before the broker has confirmed.
    case acknowledgeBeforeConfirm = "acknowledge_before_confirm"
    /// The guest removes an outcome when it is sent, not when it is answered.
    case deleteBeforeAnswer = "delete_before_answer"
    /// The guest's spool does not wait until written data is on the disk.
    case noSync = "no_fsync"

    /// Whether the bench breaks this promise.
    @inlinable
    package var isOn: Bool {
        #if FAULT_POINTS
            FaultPlan.current.sabotage == self
        #else
            false
        #endif
    }
}
