// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

@testable import SecureFiles

@Suite("New files")
struct NewFileTests {
    @Test("A file is created with its permissions, and stays once it is kept")
    func kept() throws {
        try TestDirectory.with { directory in
            var file = try NewFile(directory.path("key"))
            // The permissions hold from the first byte; they are not narrowed afterwards.
            #expect(try directory.mode("key") == 0o600)
            try file.write(Array("secret".utf8))
            try file.keep()
            _ = consume file
            #expect(try directory.text("key") == "secret")
            try NewFile.write(Array("shown".utf8), to: directory.path("certificate"), permissions: 0o644)
            #expect(try directory.text("certificate") == "shown")
        }
    }

    @Test("A file that was not kept is removed")
    func notKept() throws {
        try TestDirectory.with { directory in
            do {
                let file = try NewFile(directory.path("file"))
                try file.write([1])
                try file.sync()
            }
            #expect(try FileStatus.of(directory.path("file")) == nil)
        }
    }

    @Test("An existing file, link or directory is not followed, changed or removed")
    func existing() throws {
        try TestDirectory.with { directory in
            try directory.write("precious", to: "file", mode: 0o644)
            try directory.link("link", to: directory.path("file"))
            try directory.link("dangling", to: directory.path("nothing"))
            try directory.make("directory")
            for name in ["file", "link", "dangling", "directory"] {
                let error = #expect(throws: FileError.self) { try NewFile.write([1], to: directory.path(name)) }
                #expect(error?.kind == .exists, "\(name): \(error?.description ?? "")")
                #expect(try FileStatus.of(directory.path(name), followingLinks: false) != nil, "\(name)")
            }
            #expect(try directory.text("file") == "precious" && directory.mode("file") == 0o644)
            #expect(try FileStatus.of(directory.path("nothing")) == nil)
            #expect(throws: FileError.self) { try NewFile.write([1], to: directory.path("none/file")) }
            #expect(throws: FileError.self) { try NewFile.write([1], to: directory.path("directory/")) }
        }
    }

    @Test("Another file that has replaced the new one under its name is not removed")
    func exchanged() throws {
        try TestDirectory.with { directory in
            do {
                let file = try NewFile(directory.path("file"))
                try directory.write("another's", to: "other")
                try #require(rename(directory.path("other"), directory.path("file")) == 0)
                try file.write([1])
            }
            #expect(try directory.text("file") == "another's")
        }
    }
}
