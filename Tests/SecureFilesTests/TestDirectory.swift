// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

@testable import SecureFiles

/// A directory of one test, with mode 0700.
struct TestDirectory {
    let path: String

    static func with(_ body: (TestDirectory) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "files-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(at: directory) }
        try body(TestDirectory(path: directory.path))
    }

    func path(_ name: String) -> String { "\(self.path)/\(name)" }

    func write(_ text: String, to name: String, mode: Int = 0o600) throws {
        try Data(text.utf8).write(to: URL(filePath: self.path(name)))
        try self.setMode(mode, name)
    }

    func make(_ name: String, mode: Int = 0o700) throws {
        try FileManager.default.createDirectory(atPath: self.path(name), withIntermediateDirectories: false)
        try self.setMode(mode, name)
    }

    func link(_ name: String, to destination: String) throws {
        try FileManager.default.createSymbolicLink(atPath: self.path(name), withDestinationPath: destination)
    }

    func setMode(_ mode: Int, _ name: String) throws {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: self.path(name))
    }

    func text(_ name: String) throws -> String { try String(contentsOfFile: self.path(name), encoding: .utf8) }

    /// Returns the permissions of a name; for a symbolic link, those of the link itself.
    func mode(_ name: String) throws -> mode_t {
        try #require(try FileStatus.of(self.path(name), followingLinks: false)).mode & 0o7777
    }
}

/// Whether the tests run as the superuser, which alone can change a file's owner, and which permissions do not
/// restrict.
let isSuperuser = geteuid() == 0
