// SPDX-License-Identifier: Apache-2.0

import CCommandExecution
import Glibc
package import SystemPackage

/// The reason why a command could not be started: one sentence for each cause, with what to do.
package struct CommandStartFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// Whether the program does not exist; false for a program that exists and cannot be run.
    package let isMissing: Bool
    /// The exit status, as `env`, `nice` and `timeout` have it: 127 when the system found no file that it needs, else
    /// 126.
    package let exitStatus: Int32
    /// The problem, and what to do.
    package let description: String

    /// - Parameters:
    ///   - program: the program as it was named.
    ///   - error: the system's error.
    ///   - searchPath: the directories in which a name without a slash is looked up, separated by colons; nil when
    ///     `PATH` is not set.
    package init(_ program: [UInt8], _ error: Errno, searchPath: String?) {
        let name = String(decoding: program, as: UTF8.self)
        self.exitStatus = error == .noSuchFileOrDirectory ? 127 : 126
        let path: String
        if program.contains(UInt8(ascii: "/")) {
            path = name
        } else {
            let directories = (searchPath ?? "/bin:/usr/bin").split(separator: ":", omittingEmptySubsequences: false)
            let found = directories.lazy.map { $0.isEmpty ? name : "\($0)/\(name)" }.first { File($0) != nil }
            guard let found, !name.isEmpty else {
                self.isMissing = true
                self.description =
                    "\(name.isEmpty ? "A command without a name" : name) was not found in PATH (\(directories.joined(separator: ":"))): "
                    + "install it, or give its path."
                return
            }
            path = found
        }
        let file = File(path)
        self.isMissing = error == .noSuchFileOrDirectory && file == nil
        self.description = Self.sentence(path, file, error)
    }

    private static func sentence(_ path: String, _ file: File?, _ error: Errno) -> String {
        switch error {
        case .noSuchFileOrDirectory:
            guard let file else { return "\(path) was not found: correct the path, or create the file." }
            guard let interpreter = file.interpreter else {
                return """
                    \(path) needs a program loader that this system does not have: it was made for another system or another \
                    processor.
                    """
            }
            if interpreter.hasSuffix("\r") {
                return """
                    \(path) has Windows line endings, so that its first line names the interpreter \
                    "\(interpreter.dropLast())\\r", which does not exist: remove them, as with `sed -i 's/\\r$//' \(path)`.
                    """
            }
            return """
                \(path) names in its first line the interpreter \(interpreter), which does not exist: install it, or correct \
                the line.
                """
        case .permissionDenied:
            guard let file else { return "\(path) cannot be reached by this user: see the modes of its directories." }
            if file.isDirectory { return "\(path) is a directory: name a program in it." }
            if !file.isExecutable {
                return """
                    \(path) may not be executed by this user: give it the right to (`chmod +x \(path)`), or name its \
                    interpreter before it.
                    """
            }
            if file.isOnVolumeWithoutPrograms {
                return """
                    \(path) is on a file system that is mounted noexec: move it to another, or name its interpreter before it.
                    """
            }
            guard let interpreter = file.interpreter else {
                return "\(path) may not be executed by this user: the system's security policy does not allow it."
            }
            return """
                \(path) names in its first line the interpreter \(interpreter), which this user may not execute: correct the \
                line, or the interpreter's mode.
                """
        case .textFileBusy: return "\(path) is being written: run it once its writer has closed it."
        case .argListTooLong:
            return "\(path): its arguments and the environment are longer than the system allows: make them shorter."
        case .resourceTemporarilyUnavailable, .noMemory:
            return """
                \(path) could not be started (\(error)): the process limit of this user or container, or the memory, is \
                exhausted; raise the limit or try again later.
                """
        default: return "\(path) could not be run: \(error)."
        }
    }
}

/// The facts about a file that could not be run.
private struct File {
    let isDirectory: Bool
    let isExecutable: Bool
    let isOnVolumeWithoutPrograms: Bool
    /// The text after `#!`, up to a blank or the line's end.
    let interpreter: String?

    /// - Returns: nil when there is no such file, or it cannot be reached.
    init?(_ path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        self.isDirectory = status.st_mode & S_IFMT == S_IFDIR
        self.isExecutable = unsafe faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0
        self.isOnVolumeWithoutPrograms = unsafe command_is_on_noexec_volume(path)
        self.interpreter = status.st_mode & S_IFMT == S_IFREG ? Self.interpreter(path) : nil
    }

    private static func interpreter(_ path: String) -> String? {
        guard
            let descriptor = unsafe try? FileDescriptor.open(
                path, .readOnly, options: [.nonBlocking, .closeOnExec])
        else { return nil }
        defer { try? descriptor.close() }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = unsafe bytes.withUnsafeMutableBytes { buffer in (try? unsafe descriptor.read(into: buffer)) ?? 0 }
        guard count > 2, bytes.starts(with: "#!".utf8) else { return nil }
        let line = bytes[2..<count].prefix { $0 != UInt8(ascii: "\n") }
        let blanks = [UInt8(ascii: " "), UInt8(ascii: "\t")]
        let name = line.drop { blanks.contains($0) }.prefix { !blanks.contains($0) }
        return String(decoding: name, as: UTF8.self)
    }
}
