// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

@testable import CommandExecution

@Suite("The file of end fields")
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

    @Test("What the command wrote is read, however it made the file")
    func written() throws {
        try self.withFile { file, path in
            #expect(try file.read() == nil)
            try Data("one".utf8).write(to: URL(fileURLWithPath: path))
            #expect(try file.read() == Array("one".utf8))
            try Data("two".utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
            #expect(try file.read() == Array("two".utf8))
        }
    }

    @Test("A FIFO is not waited for", .timeLimit(.minutes(1)))
    func fifo() throws {
        try self.withFile { file, path in
            try #require(mkfifo(path, 0o600) == 0)
            #expect(throws: EndFieldsFile.Problem(description: "is not a regular file")) { try file.read() }
        }
    }

    @Test("A link is not followed: the command may have dropped its rights, and whoever reads may have more")
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

    @Test("A directory and a file that is too long are refused")
    func others() throws {
        try self.withFile { file, path in
            try #require(mkdir(path, 0o700) == 0)
            #expect(throws: EndFieldsFile.Problem(description: "is not a regular file")) { try file.read() }
            rmdir(path)
            try Data(repeating: 0x20, count: EndFieldsFile.limit + 1).write(to: URL(fileURLWithPath: path))
            #expect(throws: EndFieldsFile.Problem(description: "is longer than 64 KiB")) { try file.read() }
        }
    }

    @Test("What others have put beside the file is removed, a thousand names at most, and they can add none meanwhile")
    func flooded() throws {
        let parent = FileManager.default.temporaryDirectory.appending(path: "fields-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: parent) }
        let file = try EndFieldsFile(in: Array(parent.utf8))
        let directory = (self.path(file) as NSString).deletingLastPathComponent
        for number in 1...1500 { try #require(mknod("\(directory)/\(number)", S_IFREG | 0o600, 0) == 0) }
        file.remove()
        let rest = try FileManager.default.contentsOfDirectory(atPath: directory).count
        // The two names that every directory has count too.
        #expect((500...502).contains(rest), "\(rest)")
        var status = stat()
        try #require(stat(directory, &status) == 0)
        #expect(status.st_mode & 0o7777 == 0o700)
    }

    @Test("Others can write to the directory, and cannot list it")
    func mode() throws {
        try self.withFile { _, path in
            var status = stat()
            try #require(stat((path as NSString).deletingLastPathComponent, &status) == 0)
            #expect(status.st_mode & 0o7777 == 0o1733)
        }
    }
}
