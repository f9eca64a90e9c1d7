// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing

@testable import CommandExecution

@Suite("Command start failures")
struct CommandStartFailureTests {
    private func failure(_ program: String, _ error: Errno, searchPath: String? = "/nowhere") -> CommandStartFailure {
        CommandStartFailure(Array(program.utf8), error, searchPath: searchPath)
    }

    /// Runs the body with the path of a file in a new directory.
    private func withFile(_ text: String, mode: Int, _ body: (String) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "start-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let path = directory.appending(path: "file").path
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        try body(path)
    }

    @Test("A program that is not in PATH, or not at its path, has exit status 127")
    func missing() {
        let name = self.failure("no-such-command", .noSuchFileOrDirectory, searchPath: "/usr/bin:/bin")
        #expect(name.isMissing && name.exitStatus == 127)
        #expect(
            name.description == "no-such-command was not found in PATH (/usr/bin:/bin): install it, or give its path.")
        let path = self.failure("/nowhere/x", .noSuchFileOrDirectory)
        #expect(path.isMissing && path.exitStatus == 127)
        #expect(path.description == "/nowhere/x was not found: correct the path, or create the file.")
    }

    /// The status is the one that `env` has in such a case.
    @Test("A script with Windows line endings or a missing interpreter is explained, with status 127")
    func interpreters() throws {
        try self.withFile("#!/bin/sh\r\necho hi\r\n", mode: 0o755) { path in
            let failure = self.failure(path, .noSuchFileOrDirectory)
            #expect(!failure.isMissing && failure.exitStatus == 127)
            #expect(failure.description.contains("Windows line endings"), "\(failure)")
            #expect(failure.description.contains(#""/bin/sh\r""#), "\(failure)")
        }
        try self.withFile("#! /opt/none/python2 -u\n", mode: 0o755) { path in
            let failure = self.failure(path, .noSuchFileOrDirectory)
            #expect(!failure.isMissing && failure.exitStatus == 127)
            #expect(failure.description.contains("interpreter /opt/none/python2, which does not exist"), "\(failure)")
        }
    }

    @Test("A file without execute permission has status 126, and a directory is reported as one")
    func notExecutable() throws {
        try self.withFile("#!/bin/sh\n", mode: 0o644) { path in
            let failure = self.failure(path, .permissionDenied)
            #expect(!failure.isMissing && failure.exitStatus == 126)
            #expect(failure.description.contains("`chmod +x \(path)`"), "\(failure)")
            let directory = (path as NSString).deletingLastPathComponent
            #expect(
                self.failure(directory, .permissionDenied).description
                    == "\(directory) is a directory: name a program in it.")
            let found = self.failure("file", .permissionDenied, searchPath: "/nowhere:\(directory)")
            #expect(!found.isMissing && found.description.contains("`chmod +x \(path)`"), "\(found)")
        }
    }

    @Test("A start that fails at a system limit names that limit")
    func limits() {
        let process = self.failure("/bin/sh", .resourceTemporarilyUnavailable)
        #expect(process.exitStatus == 126 && process.description.contains("the process limit"), "\(process)")
        #expect(self.failure("/bin/sh", .argListTooLong).description.contains("longer than the system allows"))
    }
}
