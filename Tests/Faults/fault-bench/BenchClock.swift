// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The wall clock of one guest, which can be set to a wrong time while the guest runs (Tests/Faults/FaultClock).
struct BenchClock: Sendable {
    private let file: String
    private let library: String

    /// Creates a clock with the right time.
    ///
    /// - Parameters:
    ///   - directory: the directory of its file.
    ///   - programs: the directory in which the library was built.
    init(in directory: String, programs: String) throws {
        self.file = "\(directory)/clock"
        self.library = "\(programs)/libFaultClock.so"
        guard FileManager.default.createFile(atPath: self.file, contents: Data(count: 8)),
            FileManager.default.fileExists(atPath: self.library)
        else { throw BenchError("\(self.file) cannot be written, or there is no \(self.library)") }
    }

    /// The environment that gives a process this clock.
    var environment: [String: String] { ["LD_PRELOAD": self.library, "RELAY_FAULT_CLOCK": self.file] }

    /// Sets the clock off by this many seconds.
    func set(offBy seconds: Int64) throws {
        // Written in place: guests have the file mapped into memory.
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: self.file))
        defer { try? handle.close() }
        try handle.write(contentsOf: withUnsafeBytes(of: seconds) { Data($0) })
    }
}
