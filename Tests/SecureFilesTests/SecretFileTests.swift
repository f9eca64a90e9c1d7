// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import SecureFiles

@Suite("Files that hold a secret")
struct SecretFileTests {
    private static func text(_ file: SecretFile) -> String {
        file.bytes.withCopy { String(decoding: $0, as: UTF8.self) }
    }

    @Test("A secret that only its owner may read is read as a whole")
    func readableByOwner() throws {
        try TestDirectory.with { directory in
            try directory.write("secret", to: "key")
            for mode in [0o600, 0o400] + (isSuperuser ? [0o640, 0o440] : []) {
                try directory.setMode(mode, "key")
                #expect(Self.text(try SecretFile(directory.path("key"), limit: 6)) == "secret")
                #expect(throws: Never.self) { try SecretFile.check(directory.path("key")) }
            }
            let error = #expect(throws: FileError.self) { try SecretFile(directory.path("key"), limit: 5) }
            #expect(error?.kind == .tooLong)
        }
    }

    @Test(
        "A secret that other users may read or change is rejected, with the command that repairs it",
        arguments: [0o604, 0o602, 0o601, 0o620, 0o610, 0o660, 0o644])
    func exposed(mode: Int) throws {
        try TestDirectory.with { directory in
            try directory.write("secret", to: "key", mode: mode)
            let path = directory.path("key")
            let unchecked = try SecretFile(unchecked: path, limit: 6)
            let checks: [() throws -> Void] = [
                { _ = try SecretFile(path, limit: 6) }, { try SecretFile.check(path) },
                { try unchecked.check(isSecret: true) },
            ]
            for check in checks {
                let error = #expect(throws: FileError.self) { try check() }
                #expect(error?.kind == .exposed && error?.path == path)
                let remedy = "run `chmod \(isSuperuser ? "0640" : "0600") \(path)`, and replace the secret"
                #expect(error?.clause.contains(remedy) == true, "\(error?.clause ?? "")")
            }
        }
    }

    @Test("A secret file of another user is rejected, whatever its mode", .enabled(if: isSuperuser))
    func otherOwner() throws {
        try TestDirectory.with { directory in
            try directory.write("secret", to: "key")
            try #require(chown(directory.path("key"), 65_534, 65_534) == 0)
            let error = #expect(throws: FileError.self) { try SecretFile(directory.path("key"), limit: 6) }
            #expect(error?.clause.contains("run `chown root \(directory.path("key"))`") == true)
        }
    }

    @Test("A file that turns out to be public may be read by everyone, and changed by its owner only")
    func publicContent() throws {
        try TestDirectory.with { directory in
            for (mode, isAccepted) in [(0o644, true), (0o664, false), (0o646, false)] {
                try directory.write("public", to: "key", mode: mode)
                let file = try SecretFile(unchecked: directory.path("key"), limit: 6)
                #expect(((try? file.check(isSecret: false)) != nil) == isAccepted)
            }
        }
    }

    @Test("The bytes of a secret are overwritten at the end, and a copy of them alone after its use")
    func overwritten() throws {
        // This array shares the memory that is overwritten.
        let bytes = (0..<64).map { _ in UInt8.random(in: 1...255) }
        do {
            let secret = SecretBytes(bytes)
            #expect(secret.withCopy { $0.reduce(into: 0) { $0 += Int($1) } } > 0)
            #expect(bytes.allSatisfy { $0 != 0 })
            #expect(!secret.isEmpty)
        }
        #expect(bytes.allSatisfy { $0 == 0 })
    }
}
