// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// Stops processes in the way a power cut does: from one moment on they do nothing.
enum StoppedProcess {
    /// Stops a process (SIGSTOP), and returns when none of its threads will run another instruction of it.
    ///
    /// - Parameter isAmidSystemCall: whether a thread may be in the middle of one that cannot be disturbed, such as `fsync`.
    static func stop(_ process: Int32, isAmidSystemCall: Bool = true) async throws {
        guard Glibc.kill(process, SIGSTOP) == 0 else {
            throw VolumeError("Process \(process) cannot be stopped: \(String(cString: strerror(errno)))")
        }
        while !Self.isStopped(process, isAmidSystemCall ? "TDZX" : "TZX") {
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    /// Ends a process, stopped or not.
    static func kill(_ process: Int32) { _ = Glibc.kill(process, SIGKILL) }

    /// Lets a stopped process go on.
    static func goOn(_ process: Int32) { _ = Glibc.kill(process, SIGCONT) }

    /// Whether each thread is stopped (T), or in the kernel and not to be disturbed (D): the latter stops before it
    /// returns from there. Threads that have ended (Z, X) do nothing either.
    private static func isStopped(_ process: Int32, _ states: String) -> Bool {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task")) ?? []
        return threads.allSatisfy { thread in
            guard let stat = FileManager.default.contents(atPath: "/proc/\(process)/task/\(thread)/stat") else {
                return true
            }
            // After the program's name in brackets, which may hold anything.
            let state = String(decoding: stat, as: UTF8.self).split(separator: ")").last?.first { $0 != " " }
            return state.map { states.contains($0) } ?? true
        }
    }
}
