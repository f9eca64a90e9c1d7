// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The scripts of Tests/Compatibility, which check the relay's messages with OpenStack's own packages.
enum Compatibility {
    private struct MissingPython: Error, CustomStringConvertible {
        let description =
            "CONDUCTOR_TEST_PYTHON is not set: these tests need a Python with oslo.messaging, which Tests/run "
            + "installs; or make one as Tests/Compatibility/README.md says and set the variable to it"
    }

    /// The directory of the scripts.
    static let directory = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../Compatibility").standardizedFileURL

    /// The Python that has the packages.
    ///
    /// - Throws: An error that says how to install it, if there is none.
    static func python() throws -> String {
        guard let python = ProcessInfo.processInfo.environment["CONDUCTOR_TEST_PYTHON"], !python.isEmpty else {
            throw MissingPython()
        }
        return python
    }

    /// Runs one of the scripts to its end.
    static func run(
        _ name: String, _ arguments: [String], during body: (RunningProgram) async throws -> Void = { _ in }
    ) async throws -> ProgramEnd {
        let script = self.directory.appending(path: "\(name).py").path
        return try await Program(self.python()).run(["-W", "ignore", script] + arguments, during: body)
    }

    /// Runs the body with a directory of its own, which is removed afterwards.
    static func withDirectory<Result>(_ body: (URL) async throws -> Result) async throws -> Result {
        let directory = FileManager.default.temporaryDirectory.appending(path: "compatibility-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        return try await body(directory)
    }
}
