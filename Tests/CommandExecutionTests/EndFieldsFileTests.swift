// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

@testable import CommandExecution

@Suite("End fields file")
struct EndFieldsFileTests {
    private func path(_ file: EndFieldsFile) -> String { String(decoding: file.path, as: UTF8.self) }

    private func withFile(_ body: (EndFieldsFile, String) throws -> Void) throws {
        let parent = FileManager.default.temporaryDirectory.appending(path: "fields-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: parent) }
        let file = try EndFieldsFile(in: Array(parent.utf8))
        try body(file, self.path(file))
        file.remove()
        #expect(try FileManager.default.contentsOfDirectory(atPath: parent).isEmpty)
    }

    @Test("The file is read, whether the command wrote it in place or replaced it")
    func written() throws {
        try self.withFile { file, path in
            #expect(try file.read() == nil)
            try Data("one".utf8).write(to: URL(fileURLWithPath: path))
            #expect(try file.read() == Array("one".utf8))
            try Data("two".utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
            #expect(try file.read() == Array("two".utf8))
        }
    }

    @Test("A FIFO is rejected without waiting for a writer", .timeLimit(.minutes(1)))
    func fifo() throws {
        try self.withFile { file, path in
            try #require(mkfifo(path, 0o600) == 0)
            #expect(throws: EndFieldsFile.Problem(description: "is not a regular file")) { try file.read() }
        }
    }

    /// The command may have dropped its privileges, and the reader may have more.
    @Test("A symbolic link and a hard link are rejected")
    func links() throws {
        try self.withFile { file, path in
            try Data("{}".utf8).write(to: URL(fileURLWithPath: path + ".other"))
            try #require(symlink(path + ".other", path) == 0)
            #expect(throws: EndFieldsFile.Problem(description: "is a symbolic link")) { try file.read() }
            unlink(path)
            try #require(link(path + ".other", path) == 0)
            #expect(throws: EndFieldsFile.Problem(description: "has another name elsewhere (a hard link)")) {
                try file.read()
            }
        }
    }

    @Test("A directory and a file of more than 64 KiB are rejected")
    func others() throws {
        try self.withFile { file, path in
            try #require(mkdir(path, 0o700) == 0)
            #expect(throws: EndFieldsFile.Problem(description: "is not a regular file")) { try file.read() }
            rmdir(path)
            try Data(repeating: 0x20, count: EndFieldsFile.limit + 1).write(to: URL(fileURLWithPath: path))
            #expect(throws: EndFieldsFile.Problem(description: "is longer than 64 KiB")) { try file.read() }
        }
    }

    @Test("Removal deletes at most a thousand other files, and closes the directory to other users")
    func flooded() throws {
        let parent = FileManager.default.temporaryDirectory.appending(path: "fields-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: parent) }
        let file = try EndFieldsFile(in: Array(parent.utf8))
        let directory = (self.path(file) as NSString).deletingLastPathComponent
        for number in 1...1500 { try #require(mknod("\(directory)/\(number)", S_IFREG | 0o600, 0) == 0) }
        file.remove()
        let rest = try FileManager.default.contentsOfDirectory(atPath: directory).count
        // The two names that every directory has count as well.
        #expect((500...502).contains(rest), "\(rest)")
        var status = stat()
        try #require(stat(directory, &status) == 0)
        #expect(status.st_mode & 0o7777 == 0o700)
    }

    @Test("Other users can write to the directory but not list it")
    func mode() throws {
        try self.withFile { _, path in
            var status = stat()
            try #require(stat((path as NSString).deletingLastPathComponent, &status) == 0)
            #expect(status.st_mode & 0o7777 == 0o1733)
        }
    }
}
