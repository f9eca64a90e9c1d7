// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// Stops processes like a power cut: from one moment on they do nothing.
enum StoppedProcess {
    /// Stops a process (SIGSTOP), and returns when none of its threads will run another instruction.
    ///
    /// - Parameter isAmidSystemCall: whether a thread may be in a system call that cannot be interrupted, such as
    ///   `fsync`.
    static func stop(_ process: Int32, isAmidSystemCall: Bool = true) async throws {
        guard Glibc.kill(process, SIGSTOP) == 0 else {
            throw VolumeError("Process \(process) cannot be stopped: \(String(cString: strerror(errno)))")
        }
        while !Self.isStopped(process, isAmidSystemCall ? "TDZX" : "TZX") {
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    /// Kills a process, stopped or not.
    static func kill(_ process: Int32) { _ = Glibc.kill(process, SIGKILL) }

    /// Lets a stopped process continue.
    static func goOn(_ process: Int32) { _ = Glibc.kill(process, SIGCONT) }

    /// Whether each thread is stopped (T), or in an uninterruptible system call (D), after which it stops before it
    /// returns. Threads that have ended (Z, X) do nothing either.
    private static func isStopped(_ process: Int32, _ states: String) -> Bool {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task")) ?? []
        return threads.allSatisfy { thread in
            guard let stat = FileManager.default.contents(atPath: "/proc/\(process)/task/\(thread)/stat") else {
                return true
            }
            // The state follows the program's name in parentheses, which may contain anything.
            let state = String(decoding: stat, as: UTF8.self).split(separator: ")").last?.first { $0 != " " }
            return state.map { states.contains($0) } ?? true
        }
    }
}
