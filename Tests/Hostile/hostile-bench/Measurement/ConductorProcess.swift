// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The conductor's process, observed from outside.
struct ConductorProcess: Sendable {
    /// Its process id.
    let pid: Int32

    /// The resources that it uses.
    struct State: Sendable {
        /// The number of open file descriptors.
        var descriptors: Int
        /// The resident memory in KiB.
        var resident: Int
        /// The processor time that it has used, in hundredths of a second.
        var ticks: Int
    }

    /// Returns the resources that it uses now.
    ///
    /// - Throws: ``BenchError`` if it has ended.
    func state() throws -> State {
        guard
            let descriptors = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(self.pid)/fd").count,
            let status = try? String(contentsOfFile: "/proc/\(self.pid)/status", encoding: .utf8),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") }),
            let resident = Int(line.split(separator: " ", omittingEmptySubsequences: true).dropFirst().first ?? ""),
            let stat = try? String(contentsOfFile: "/proc/\(self.pid)/stat", encoding: .utf8)
        else { throw BenchError("the conductor is dead") }
        // The numbers after the name; the 12th and the 13th are the time in user mode and in the kernel.
        let fields = stat.drop { $0 != ")" }.split(separator: " ")
        let ticks = fields.count > 13 ? (Int(fields[12]) ?? 0) + (Int(fields[13]) ?? 0) : 0
        return State(descriptors: descriptors, resident: resident, ticks: ticks)
    }

    /// Returns the highest numbers until it is cancelled.
    func peaks() async throws -> State {
        var peaks = try self.state()
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(100))
            let now = try self.state()
            peaks.descriptors = max(peaks.descriptors, now.descriptors)
            peaks.resident = max(peaks.resident, now.resident)
        }
        return peaks
    }

    /// Waits until it has no more descriptors than this.
    ///
    /// - Returns: the resources that it uses then, or when the time is up.
    func settle(to descriptors: Int, patience: Duration) async throws -> State {
        let end = ContinuousClock.now + patience
        while true {
            let now = try self.state()
            if now.descriptors <= descriptors || ContinuousClock.now > end { return now }
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}
