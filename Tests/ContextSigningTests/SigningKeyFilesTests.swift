// SPDX-License-Identifier: Apache-2.0

import ContextSigning
import Foundation
import Glibc
import Testing

/// Tests of key files, and of the differences between two key sets.
@Suite struct SigningKeyFilesTests {
    private func secret(_ kid: String, _ salt: String = "") throws -> SigningKey {
        try SigningKey(kid: kid, secret: Array("\(kid)\(salt): 0123456789abcdef0123456789abcdef".utf8))
    }

    private func withDirectory(_ files: [String], _ body: (SigningKeyFiles) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "keys-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: directory, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755])
        defer { try? FileManager.default.removeItem(at: directory) }
        for name in files {
            let file = directory.appending(path: name).path
            try Data("\(name) 0123456789abcdef0123456789abcdef".utf8).write(to: URL(filePath: file))
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
        }
        try body(SigningKeyFiles(named: [], directory: directory.path))
    }

    @Test("The file names in a key directory give the keys' names and algorithms")
    func keysByFileName() throws {
        try self.withDirectory(["2.v1.HS256", "1.HS256", ".2.HS256.swp", "a-b_c.EdDSA"]) { files in
            let found = try files.inDirectory()
            #expect(found.map(\.kid) == ["1", "2.v1", "a-b_c"])
            #expect(found.map(\.algorithm) == [.hs256, .hs256, .edDSA])
            #expect(try found[1].key().kid == "2.v1")
            let directory = try #require(files.directory)
            #expect(Set(files.paths) == Set([directory] + found.map(\.path)))
            // The file holds no Ed25519 key: the error names the key and the file.
            let error = #expect(throws: SigningKeyError.self) { try found[2].key() }
            #expect(error?.description.hasPrefix("a-b_c: the file \(directory)/a-b_c.EdDSA") == true)
        }
    }

    @Test(
        "A file name other than KID.HS256 or KID.EdDSA is rejected, unless the file is hidden",
        arguments: ["README", "1.hs256", ".HS256~", "1.HS256~", "1.RS256", "HS256"])
    func otherFileNames(name: String) throws {
        try self.withDirectory([name]) { files in
            guard !name.hasPrefix(".") else {
                let found = try files.inDirectory()
                #expect(found.isEmpty)
                return
            }
            let error = #expect(throws: SigningKeyError.self) { try files.inDirectory() }
            #expect(error?.description.contains("KID.HS256 or KID.EdDSA") == true)
        }
    }

    @Test("A key directory that others can write to, or a path that is no directory, is rejected")
    func unsafeDirectory() throws {
        try self.withDirectory(["1.HS256"]) { files in
            let directory = try #require(files.directory)
            try FileManager.default.setAttributes([.posixPermissions: 0o775], ofItemAtPath: directory)
            let error = #expect(throws: SigningKeyError.self) { try files.inDirectory() }
            #expect(error?.description.contains("chmod go-w") == true)
            let file = SigningKeyFiles(named: [], directory: directory + "/1.HS256")
            #expect(throws: SigningKeyError.self) { try file.inDirectory() }
            #expect(file.paths == [directory + "/1.HS256"])
        }
        let none = try SigningKeyFiles(named: [], directory: nil).inDirectory()
        #expect(none.isEmpty)
    }

    @Test("The owner of a key directory is checked", .enabled(if: geteuid() == 0))
    func directoryOwner() throws {
        try self.withDirectory(["1.HS256"]) { files in
            let directory = try #require(files.directory)
            try #require(chown(directory, 65_534, 65_534) == 0)
            let error = #expect(throws: SigningKeyError.self) { try files.inDirectory() }
            #expect(error?.description.contains("chown root \(directory)") == true)
        }
    }

    @Test("Changes between two key sets are found by name and by key")
    func keySetChanges() throws {
        let bytes = (0..<32).map { UInt8($0) }
        let pair = try SigningKey(kid: "pair", ed25519: bytes, isPrivate: true)
        let shown = try SigningKey(kid: "pair", ed25519: bytes, isPrivate: false)
        let (a, b) = (try self.secret("a"), try self.secret("b"))
        let old = try SigningKeySet([a, b, pair])
        #expect(old.changes(from: old).isEmpty)
        let same = try SigningKeySet([pair, self.secret("b"), self.secret("a")])
        #expect(same.changes(from: old).isEmpty)
        let new = try SigningKeySet([self.secret("a", "2"), self.secret("c"), shown])
        let changes = new.changes(from: old)
        #expect(changes.added == ["c"] && changes.removed == ["b"] && changes.replaced == ["a", "pair"])
        #expect(!changes.isEmpty)
        #expect(!a.isSame(as: b) && !a.isSame(as: pair) && pair.isSame(as: pair) && !pair.isSame(as: shown))
    }
}
