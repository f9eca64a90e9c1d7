// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The wall clock of one guest, which can be set wrong while the guest runs (Tests/Faults/FaultClock).
struct BenchClock: Sendable {
    private let file: String
    private let library: String

    /// A clock that is right.
    ///
    /// - Parameters:
    ///   - directory: where its file goes.
    ///   - programs: where the library was built.
    init(in directory: String, programs: String) throws {
        self.file = "\(directory)/clock"
        self.library = "\(programs)/libFaultClock.so"
        guard FileManager.default.createFile(atPath: self.file, contents: Data(count: 8)),
            FileManager.default.fileExists(atPath: self.library)
        else { throw BenchError("\(self.file) cannot be written, or there is no \(self.library)") }
    }

    /// What a process needs to have this clock.
    var environment: [String: String] { ["LD_PRELOAD": self.library, "RELAY_FAULT_CLOCK": self.file] }

    /// Sets the clock wrong by so many seconds.
    func set(offBy seconds: Int64) throws {
        // In place: guests hold the file in their memory.
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: self.file))
        defer { try? handle.close() }
        try handle.write(contentsOf: withUnsafeBytes(of: seconds) { Data($0) })
    }
}
