import Foundation
import Glibc
import Testing

@testable import SecureFiles

@Suite("A directory whose names nobody else can exchange")
struct CheckedDirectoryTests {
    private func refusal(_ path: String) -> FileError? {
        #expect(throws: FileError.self, "\(path)") { try CheckedDirectory(path, for: .writing) }
    }

    @Test("A directory that others may write in is refused for writing, and may be read")
    func openToOthers() throws {
        try TestDirectory.with { directory in
            for mode in [0o777, 0o770, 0o1777, 0o722] {
                try directory.make("\(mode)", mode: mode)
                let error = self.refusal(directory.path("\(mode)"))
                #expect(error?.kind == .exposed && error?.clause.contains("chmod go-w") == true)
                _ = try CheckedDirectory(directory.path("\(mode)"), for: .reading)
            }
            for mode in [0o700, 0o750, 0o755] {
                try directory.make("\(mode)", mode: mode)
                _ = try CheckedDirectory(directory.path("\(mode)"), for: .writing)
            }
        }
    }

    @Test("A directory of another user is refused, and so is one that leads to it", .enabled(if: isSuperuser))
    func anotherUsers() throws {
        try TestDirectory.with { directory in
            try directory.make("theirs", mode: 0o755)
            try directory.make("theirs/own")
            try #require(chown(directory.path("theirs"), 65_534, 65_534) == 0)
            let last = self.refusal(directory.path("theirs"))
            #expect(last?.kind == .exposed && last?.clause.contains("--reuid=65534") == true)
            let below = self.refusal(directory.path("theirs/own"))
            #expect(below?.kind == .exposed && below?.clause.contains("on the way") == true)
        }
    }

    @Test("A directory below one in which everybody may exchange names is refused; the sticky bit keeps names safe")
    func onTheWay() throws {
        try TestDirectory.with { directory in
            try directory.make("open", mode: 0o777)
            try directory.make("open/own")
            #expect(self.refusal(directory.path("open/own"))?.clause.contains("every user") == true)
            try directory.setMode(0o1777, "open")
            _ = try CheckedDirectory(directory.path("open/own"), for: .writing)
        }
    }

    @Test("Links of ours on the way are followed, through safe directories only")
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
            #expect(self.refusal(directory.path("loop"))?.kind == .wrongKind)
            guard isSuperuser else { return }
            // In a directory where others may make links, only ours lead on.
            try directory.setMode(0o1777, "open")
            try directory.link("open/link", to: directory.path("real"))
            _ = try CheckedDirectory(directory.path("open/link"), for: .writing)
            try #require(lchown(directory.path("open/link"), 65_534, 65_534) == 0)
            #expect(self.refusal(directory.path("open/link"))?.kind == .exposed)
        }
    }

    @Test("What is missing, and what is no directory, is said so")
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
            #expect(throws: FileError.self) { try CheckedDirectory.make(directory.path("none/below")) }
        }
    }

    @Test("A link or a special file is not opened, and what it leads to stays as it was", .timeLimit(.minutes(1)))
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

    @Test("A file is replaced whole, and a link of its name is replaced and not followed")
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
