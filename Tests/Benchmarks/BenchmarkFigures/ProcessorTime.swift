// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// The processor time of processes, in user mode and in the kernel.
package enum ProcessorTime {
    /// - Parameter process: the process id.
    /// - Returns: the time in microseconds, of all threads that exist.
    package static func used(by process: Int32) throws -> Double {
        let tasks = "/proc/\(process)/task"
        return try FileManager.default.contentsOfDirectory(atPath: tasks).reduce(0) { sum, thread in
            // A thread may end in the meantime.
            let text = (try? String(contentsOfFile: "\(tasks)/\(thread)/schedstat", encoding: .utf8)) ?? ""
            guard let nanoseconds = text.split(separator: " ").first.flatMap({ Double($0) }) else { return sum }
            return sum + nanoseconds / 1000
        }
    }

    /// Returns the time of this process in microseconds, including threads that have ended.
    package static func own() -> Double {
        var time = timespec()
        guard unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return .nan }
        return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
    }
}
