// SPDX-License-Identifier: Apache-2.0

import CLinuxScheduling
import NIOCore

/// The processors of this machine.
package enum Processors {
    /// The number of processors that this thread may use: limited by the machine, the control group, and the affinity
    /// (`taskset`, systemd's `CPUAffinity=`).
    ///
    /// More event loops than that would wait for each other, and those with little to do would wait for those with
    /// much.
    package static var usable: Int {
        let allowed = Int(linux_scheduling_processors())
        return allowed > 0 ? min(System.coreCount, allowed) : System.coreCount
    }
}
