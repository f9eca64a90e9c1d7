// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import SystemPackage

/// A system program that creates a volume, or makes it fail.
enum VolumeCommand {
    /// Runs a program to its end, whether or not the task is cancelled.
    ///
    /// - Returns: its output, without white space at the ends.
    /// - Throws: ``VolumeError`` with its output if it failed.
    @discardableResult
    static func run(_ program: String, _ arguments: String...) async throws -> String {
        try await Task {
            let executable: Executable = program.contains("/") ? .path(FilePath(program)) : .name(program)
            let result = try await Subprocess.run(
                executable, arguments: Arguments(arguments), output: .string(limit: 64 << 10),
                error: .string(limit: 64 << 10))
            guard result.terminationStatus.isSuccess else {
                let said = result.standardError.trimmingCharacters(in: .whitespacesAndNewlines)
                throw VolumeError("`\(program) \(arguments.joined(separator: " "))` failed: \(said)")
            }
            return result.standardOutput.trimmingCharacters(in: .whitespacesAndNewlines)
        }.value
    }
}

/// The reason why a volume could not be created or changed, in a sentence.
package struct VolumeError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
