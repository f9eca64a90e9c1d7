// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// The processor time that processes use, user's and system's.
package enum ProcessorTime {
    /// - Parameter process: its id.
    /// - Returns: in microseconds, of all its threads that are there.
    package static func used(by process: Int32) throws -> Double {
        let tasks = "/proc/\(process)/task"
        return try FileManager.default.contentsOfDirectory(atPath: tasks).reduce(0) { sum, thread in
            // A thread may end while one looks.
            let text = (try? String(contentsOfFile: "\(tasks)/\(thread)/schedstat", encoding: .utf8)) ?? ""
            guard let nanoseconds = text.split(separator: " ").first.flatMap({ Double($0) }) else { return sum }
            return sum + nanoseconds / 1000
        }
    }

    /// What this process has used, also in threads that have ended, in microseconds.
    package static func own() -> Double {
        var time = timespec()
        guard unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return .nan }
        return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
    }
}
