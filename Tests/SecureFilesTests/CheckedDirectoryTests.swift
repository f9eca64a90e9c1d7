// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

@testable import SecureFiles

@Suite("Checked directories")
struct CheckedDirectoryTests {
    private func refusal(_ path: String) -> FileError? {
        #expect(throws: FileError.self, "\(path)") { try CheckedDirectory(path, for: .writing) }
    }

    private func isFile(_ name: String, _ status: FileStatus) -> Bool { status.isRegularFile }

    @Test("Opening for writing removes others' write permission; opening for reading changes nothing")
    func openToOthers() throws {
        try TestDirectory.with { directory in
            for mode in [0o777, 0o770, 0o2770, 0o722, 0o700, 0o750, 0o755] {
                let path = directory.path("\(mode)")
                try directory.make("\(mode)", mode: mode)
                _ = try CheckedDirectory(path, for: .reading)
                #expect(try directory.mode("\(mode)") == mode_t(mode))
                _ = try CheckedDirectory(path, for: .writing)
                #expect(try directory.mode("\(mode)") == mode_t(mode) & ~0o022)
            }
        }
    }

    @Test("A sticky directory that everyone may write in is rejected for writing, and unchanged")
    func sticky() throws {
        try TestDirectory.with { directory in
            try directory.make("open", mode: 0o1777)
            let error = self.refusal(directory.path("open"))
            #expect(error?.kind == .exposed && error?.clause.contains("chmod go-w") == true)
            #expect(try directory.mode("open") == 0o1777)
            _ = try CheckedDirectory(directory.path("open"), for: .reading)
        }
    }

    @Test("Closing a directory also removes others' access to files that they could write")
    func openFiles() throws {
        try TestDirectory.with { directory in
            try directory.make("spool", mode: 0o700)
            for (name, mode) in [("shared", 0o660), ("open", 0o666), ("readable", 0o644), ("own", 0o600)] {
                try directory.write("text", to: "spool/\(name)", mode: mode)
            }
            try directory.setMode(0o2770, "spool")
            _ = try CheckedDirectory(directory.path("spool"), for: .writing, isOwn: self.isFile)
            for (name, mode) in [("shared", 0o600), ("open", 0o600), ("readable", 0o644), ("own", 0o600)] {
                #expect(try directory.mode("spool/\(name)") == mode_t(mode), "\(name)")
            }
            #expect(try directory.mode("spool") == 0o2750)
        }
    }

    @Test("A directory with files that are not the program's is rejected, and nothing in it changes")
    func foreign() throws {
        try TestDirectory.with { directory in
            try directory.write("text", to: "victim", mode: 0o666)
            for name in ["notes", "link", "second"] {
                try directory.make(name, mode: 0o700)
                // Some come before the other file and some after it, in whatever order the directory is read.
                for number in 0..<20 { try directory.write("text", to: "\(name)/file-\(number)", mode: 0o666) }
            }
            try directory.write("text", to: "notes/notes", mode: 0o666)
            try directory.link("link/link", to: "../victim")
            try #require(link(directory.path("victim"), directory.path("second/second")) == 0)
            for (name, reason) in [
                ("notes", "notes in it is not a file that this program creates there"),
                ("link", "link in it is not a file that this program creates there"),
                ("second", "second in it has another name (a hard link)"),
            ] {
                try directory.setMode(0o770, name)
                let error = #expect(throws: FileError.self) {
                    try CheckedDirectory(directory.path(name), for: .writing) { name, status in
                        status.isRegularFile && name != "notes"
                    }
                }
                #expect(error?.kind == .exposed && error?.clause.contains(reason) == true, "\(error?.clause ?? "")")
                #expect(try directory.mode(name) == 0o770)
                for number in 0..<20 { #expect(try directory.mode("\(name)/file-\(number)") == 0o666) }
            }
            #expect(try directory.mode("victim") == 0o666 && directory.mode("notes/notes") == 0o666)
        }
    }

    @Test(
        "A directory with a file of another user is rejected with that file's name, and unchanged",
        .enabled(if: isSuperuser))
    func planted() throws {
        try TestDirectory.with { directory in
            try directory.make("spool", mode: 0o770)
            try directory.write("text", to: "spool/planted", mode: 0o666)
            // Some come before the other file and some after it, in whatever order the directory is read.
            for number in 0..<20 { try directory.write("text", to: "spool/own-\(number)", mode: 0o666) }
            try #require(chown(directory.path("spool/planted"), 65_534, 65_534) == 0)
            let error = #expect(throws: FileError.self) {
                try CheckedDirectory(directory.path("spool"), for: .writing, isOwn: self.isFile)
            }
            #expect(
                error?.kind == .exposed && error?.clause.contains("planted in it belongs to the user 65534") == true)
            #expect(try directory.mode("spool") == 0o770)
            for number in 0..<20 { #expect(try directory.mode("spool/own-\(number)") == 0o666) }
            // The file is also rejected if an operator has closed the directory by hand.
            try directory.setMode(0o700, "spool")
            let spool = try CheckedDirectory(directory.path("spool"), for: .writing)
            for refused in [
                #expect(throws: FileError.self) { _ = try spool.openForReading("planted") },
                #expect(throws: FileError.self) { _ = try spool.openForChanging("planted") },
                #expect(throws: FileError.self) { try spool.checkOpensByPath("planted") },
            ] { #expect(refused?.kind == .exposed) }
        }
    }

    /// Such a directory is not a spool's.
    @Test("A directory with more than a thousand files is rejected and unchanged")
    func crowded() throws {
        try TestDirectory.with { directory in
            try directory.make("crowded", mode: 0o770)
            for number in 0...1000 {
                try #require(mknod(directory.path("crowded/\(number)"), S_IFREG | 0o660, 0) == 0)
            }
            let error = self.refusal(directory.path("crowded"))
            #expect(error?.kind == .exposed && error?.clause.contains("chmod go-w") == true)
            #expect(try directory.mode("crowded") == 0o770)
        }
    }

    /// It may have been linked there while others could write.
    @Test("A file with a second hard link is not opened")
    func hardLinks() throws {
        try TestDirectory.with { directory in
            try directory.write("precious", to: "victim", mode: 0o640)
            try directory.make("spool")
            try #require(link(directory.path("victim"), directory.path("spool/file")) == 0)
            let spool = try CheckedDirectory(directory.path("spool"), for: .writing)
            for refused in [
                #expect(throws: FileError.self) { _ = try spool.openForReading("file") },
                #expect(throws: FileError.self) { _ = try spool.openForChanging("file") },
                #expect(throws: FileError.self) { try spool.checkOpensByPath("file") },
            ] { #expect(refused?.kind == .exposed && refused?.clause.contains("hard link") == true) }
            #expect(try directory.mode("victim") == 0o640)
            try #require(unlink(directory.path("victim")) == 0)
            _ = try spool.openForChanging("file")
        }
    }

    @Test("A file's creation time is nil when the system does not report it")
    func creationTime() throws {
        try TestDirectory.with { directory in
            try directory.make("directory")
            let opened = try CheckedDirectory(directory.path("."), for: .reading)
            #expect(opened.creationTime(of: "directory") != nil)
            #expect(opened.creationTime(of: "missing") == nil)
            // ENAMETOOLONG, ENOTDIR
            #expect(opened.creationTime(of: String(repeating: "x", count: 300)) == nil)
            try Data().write(to: URL(filePath: directory.path("file")))
            #expect(opened.creationTime(of: "file/name") == nil)
        }
    }

    @Test("A directory of another user is rejected, and so is any directory below it", .enabled(if: isSuperuser))
    func anotherUsers() throws {
        try TestDirectory.with { directory in
            try directory.make("theirs", mode: 0o755)
            try directory.make("theirs/own")
            try #require(chown(directory.path("theirs"), 65_534, 65_534) == 0)
            let last = self.refusal(directory.path("theirs"))
            #expect(last?.kind == .exposed && last?.clause.contains("--reuid=65534") == true)
            let below = self.refusal(directory.path("theirs/own"))
            #expect(below?.kind == .exposed && below?.clause.contains("on the path") == true)
        }
    }

    @Test("A directory below one that others may write in is rejected, unless the sticky bit is set")
    func writableParent() throws {
        try TestDirectory.with { directory in
            try directory.make("open", mode: 0o777)
            try directory.make("open/own")
            #expect(self.refusal(directory.path("open/own"))?.clause.contains("every user") == true)
            // This includes one's own group: others may be in it.
            try directory.setMode(0o770, "open")
            #expect(self.refusal(directory.path("open/own"))?.clause.contains("group \(getegid())") == true)
            try directory.setMode(0o1777, "open")
            _ = try CheckedDirectory(directory.path("open/own"), for: .writing)
        }
    }

    @Test("Own symbolic links on the path are followed, through safe directories only")
    func links() throws {
        try TestDirectory.with { directory in
            try directory.make("real")
            try directory.make("open", mode: 0o777)
            try directory.make("open/own")
            try directory.link("relative", to: "./real")
            try directory.link("absolute", to: directory.path("relative"))
            try directory.link("unsafe", to: "real/../open/own")
            try directory.link("loop", to: "loop")
            let real = try CheckedDirectory(directory.path("real"), for: .writing).status
            for name in ["relative", "absolute", "real/../relative/.", "/relative/"] {
                let opened = try CheckedDirectory(directory.path(name), for: .writing)
                #expect(opened.status.isSameFile(as: real), "\(name)")
            }
            #expect(self.refusal(directory.path("unsafe"))?.kind == .exposed)
            let loop = self.refusal(directory.path("loop"))
            #expect(loop?.kind == .wrongKind && loop?.clause.contains("loop of symbolic links") == true)
            guard isSuperuser else { return }
            // In a directory in which others may create links, only own links are followed.
            try directory.setMode(0o1777, "open")
            try directory.link("open/link", to: directory.path("real"))
            _ = try CheckedDirectory(directory.path("open/link"), for: .writing)
            try #require(lchown(directory.path("open/link"), 65_534, 65_534) == 0)
            #expect(self.refusal(directory.path("open/link"))?.kind == .exposed)
        }
    }

    @Test("A missing path and a path that is no directory are reported as such")
    func noDirectory() throws {
        try TestDirectory.with { directory in
            try directory.write("text", to: "file")
            for use in [CheckedDirectory.Use.writing, .reading] {
                for (name, kind) in [("none", .missing), ("none/below", .missing), ("file", .wrongKind)]
                    as [(String, FileError.Kind)]
                {
                    let error = #expect(throws: FileError.self) { try CheckedDirectory(directory.path(name), for: use) }
                    #expect(error?.kind == kind, "\(name)")
                }
            }
            #expect(try CheckedDirectory.make(directory.path("new")))
            #expect(try directory.mode("new") == 0o700)
            #expect(try !CheckedDirectory.make(directory.path("new")))
            for (path, reason) in [
                ("none/below", "does not exist; create that first"), ("file/below", "is not a directory"),
            ] {
                let error = #expect(throws: FileError.self) { try CheckedDirectory.make(directory.path(path)) }
                #expect(error?.clause.contains(reason) == true, "\(path): \(error?.clause ?? "")")
            }
        }
    }

    @Test(
        "A link, a special file or a directory is not opened, and a link's target does not change",
        .timeLimit(.minutes(1)))
    func noLinks() throws {
        try TestDirectory.with { directory in
            try directory.write("precious", to: "victim", mode: 0o644)
            try directory.make("spool")
            try directory.link("spool/link", to: "../victim")
            try directory.link("spool/dangling", to: "../nothing")
            try #require(mkfifo(directory.path("spool/pipe"), 0o600) == 0)
            try directory.make("spool/directory")
            let spool = try CheckedDirectory(directory.path("spool"), for: .writing)
            for name in ["link", "dangling", "pipe", "directory"] {
                let changing = #expect(throws: FileError.self) { _ = try spool.openForChanging(name) }
                #expect(changing?.kind == .wrongKind, "\(name): \(changing?.description ?? "")")
                #expect(throws: FileError.self) { _ = try spool.openForReading(name) }
                #expect(throws: FileError.self) { try spool.checkOpensByPath(name) }
            }
            #expect(try directory.text("victim") == "precious" && directory.mode("victim") == 0o644)
            #expect(try FileStatus.of(directory.path("nothing")) == nil)
            let isMissing = try spool.openForReading("none") == nil
            #expect(isMissing)
            try spool.checkOpensByPath("none")
        }
    }

    @Test("A file is replaced as a whole, and a link of that name is replaced, not followed")
    func replaced() throws {
        try TestDirectory.with { directory in
            try directory.write("precious", to: "victim")
            try directory.make("spool")
            try directory.link("spool/file", to: "../victim")
            try directory.link("spool/file.part", to: "../victim")
            let spool = try CheckedDirectory(directory.path("spool"), for: .writing)
            try spool.replace("file", with: Array("new".utf8))
            #expect(try directory.text("spool/file") == "new" && directory.mode("spool/file") == 0o600)
            #expect(try directory.text("victim") == "precious")
            #expect(try spool.names() == ["file"])
            #expect(throws: FileError.self) { try spool.names(limit: 0) }
            try spool.rename("file", to: "other")
            #expect(try spool.remove("other") && !spool.remove("other"))
        }
    }
}
