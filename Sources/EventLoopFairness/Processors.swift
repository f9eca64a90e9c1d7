import CLinuxScheduling
import NIOCore

/// The processors of this machine.
package enum Processors {
    /// How many this thread may use, by the machine, its control group, and its affinity (`taskset`, systemd's `CPUAffinity=`).
    ///
    /// More event loops than that would wait for each other, and those whose connections ask for little for those whose
    /// connections ask for much.
    package static var usable: Int {
        let allowed = Int(linux_scheduling_processors())
        return allowed > 0 ? min(System.coreCount, allowed) : System.coreCount
    }
}
