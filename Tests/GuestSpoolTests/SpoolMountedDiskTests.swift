// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import Glibc
import LogTesting
import NIOConcurrencyHelpers
import Notifications
import ProcessTesting
import Testing

@testable import GuestSpool

/// Tests on a small disk of their own, in a file that is mounted for the test: it behaves as any disk does.
@Suite(.serialized) struct SpoolMountedDiskTests {
    private struct Disk {
        let path: String
        private var filler: String { "\(self.path)/filler" }

        @discardableResult
        func run(_ program: String, _ arguments: String...) async throws -> String {
            await (try TestProcess(program, arguments)).outputUntilExit()
        }

        func fill() throws {
            let descriptor = open(self.filler, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
            try #require(descriptor >= 0)
            defer { close(descriptor) }
            let zeros = [UInt8](repeating: 0, count: 1 << 16)
            for size in [1 << 16, 4096, 1] { while write(descriptor, zeros, size) > 0 {} }
            #expect(errno == ENOSPC)
            // A file whose pages are still being written keeps its blocks after it was removed.
            fsync(descriptor)
        }

        func empty() async throws {
            try FileManager.default.removeItem(atPath: self.filler)
            let trial = open("\(self.path)/trial", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
            try #require(trial >= 0)
            defer { close(trial) }
            // ext4 frees the blocks when its journal commits. A sync of all disks would wait for other tests' frozen ones.
            var attempts = 0
            repeat {
                try #require(attempts < 100)
                attempts += 1
                try await self.run("sync", "--file-system", self.path)
            } while posix_fallocate(trial, 0, 1 << 20) != 0
            try FileManager.default.removeItem(atPath: "\(self.path)/trial")
        }
    }

    private func withDisk(_ body: (Disk, SpoolFixture) async throws -> Void) async throws {
        let base = FileManager.default.temporaryDirectory.appending(path: "disk-\(UUID().uuidString)").path
        let disk = Disk(path: "\(base)/mounted")
        try FileManager.default.createDirectory(atPath: disk.path, withIntermediateDirectories: true)
        let image = "\(base)/image"
        #expect(FileManager.default.createFile(atPath: image, contents: nil))
        #expect(truncate(image, 16 << 20) == 0)
        let result: Result<Void, any Error>
        do {
            let made = try await disk.run("mkfs.ext4", "-q", "-F", "-m", "0", image)
            let mounted = try await disk.run("mount", "-o", "loop", image, disk.path)
            try #require(mounted.isEmpty, "\(made)\(mounted)")
            try await body(disk, SpoolFixture(directory: "\(disk.path)/spool"))
            result = .success(())
        } catch {
            result = .failure(error)
        }
        // In any case; a spool that is still open keeps the disk mounted only until it is closed.
        try await disk.run("fsfreeze", "-u", disk.path)
        try await disk.run("umount", "-l", disk.path)
        try FileManager.default.removeItem(atPath: base)
        try result.get()
    }

    private let long = String(repeating: "x", count: 200_000)

    @Test("A full disk is reported, and no outcome is lost once there is room again")
    func fullDisk() async throws {
        try await self.withDisk { disk, fixture in
            let spool = try await fixture.open()
            let told = try await fixture.run(spool)
            let id = try await fixture.begin(spool)
            try disk.fill()
            for _ in 0..<3 {
                let error = await #expect(throws: OutboxError.self) {
                    try await spool.finish(fixture.report(self.long, id: id))
                }
                #expect(error?.code == .diskFull)
            }
            #expect(try await fixture.messageIDs(spool) == [told.messageID])
            let error = await #expect(throws: OutboxError.self) {
                _ = try await SpoolFixture(directory: "\(disk.path)/another").open()
            }
            #expect(error?.code == .diskFull)
            try await disk.empty()
            let next = try await fixture.run(spool)
            #expect(try await fixture.messageIDs(spool) == [told.messageID, id, next.messageID])
            let counts = try await spool.counts()
            #expect(counts.isBalanced && counts.waiting == 3)
            #expect(fixture.damages.isEmpty)
            try await spool.close()
        }
    }

    @Test("A full disk blocks new operations until the origin is stored, but not waiting outcomes")
    func fullDiskAtTakeover() async throws {
        try await self.withDisk { disk, fixture in
            func machine(_ bootID: String) -> GuestMachine { GuestMachine(machineID: "m", bootID: bootID) }
            func open(_ bootID: String) async throws -> Spool {
                try await Spool.open(fixture.directory, machine: machine(bootID), logger: fixture.log.logger)
            }
            func recorded(_ spool: Spool) async throws -> GuestMachine? {
                try await spool.store.read { try SpoolOrigin($0)?.machine }
            }
            let first = try await open("boot-1")
            // So many bytes that the disk needs room for the WAL to be checkpointed.
            var waiting: [MessageID] = []
            for _ in 0..<5 { waiting.append(try await fixture.run(first, self.long).messageID) }
            // Keeps the WAL in place, as a killed agent does.
            let killed = try DatabaseQueue(path: fixture.file)
            try await killed.writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_autocheckpoint = 0") }
            try await first.close()
            try disk.fill()
            // A file may have reserved blocks.
            let full = await #expect(throws: DatabaseError.self) {
                for _ in 0..<10_000 {
                    try await killed.write { try $0.execute(sql: "UPDATE tally SET refused = refused + 1") }
                }
            }
            #expect(full?.resultCode == .SQLITE_FULL)
            let spool = try await open("boot-2")
            spool.setGuest(["instance-1"])
            #expect(try await fixture.messageIDs(spool) == waiting)
            #expect(try await recorded(spool) == machine("boot-1"))
            let error = await #expect(throws: OutboxError.self) { _ = try await fixture.begin(spool) }
            #expect(error?.code == .diskFull)
            try await disk.empty()
            _ = try await fixture.begin(spool)
            #expect(try await recorded(spool) == machine("boot-2"))
            #expect(try await spool.store.read { try SpoolOrigin($0)?.guest } == "instance-1")
            try await spool.close()
            try killed.close()
        }
    }

    @Test("A damaged file on a full disk is repaired once there is room")
    func damagedFileOnFullDisk() async throws {
        try await self.withDisk { disk, fixture in
            let reports = try await fixture.fill(20, self.long)
            try fixture.change("DELETE FROM tally")
            try disk.fill()
            for _ in 0..<2 {
                let error = await #expect(throws: OutboxError.self) { _ = try await fixture.open() }
                #expect(error?.code == .diskFull)
            }
            try await disk.empty()
            let spool = try await fixture.open()
            #expect(try await fixture.messageIDs(spool) == reports.map(\.messageID))
            #expect(fixture.damages.count == 1)
            try await spool.close()
        }
    }

    @Test("A read-only disk is reported as not writable, not as damage")
    func readOnlyDisk() async throws {
        try await self.withDisk { disk, fixture in
            let reports = try await fixture.fill(3)
            #expect(try await disk.run("mount", "-o", "remount,ro", disk.path).isEmpty)
            let error = await #expect(throws: OutboxError.self) { _ = try await fixture.open() }
            #expect(error?.code == .notWritable)
            #expect(error?.description.contains("on a writable disk") == true)
            #expect(try await disk.run("mount", "-o", "remount,rw", disk.path).isEmpty)
            let spool = try await fixture.open()
            #expect(try await fixture.messageIDs(spool) == reports.map(\.messageID))
            #expect(fixture.damages.isEmpty)
            try await spool.close()
        }
    }

    @Test("Writes wait for a frozen disk and complete once it is thawed")
    func frozenDisk() async throws {
        try await self.withDisk { disk, fixture in
            let spool = try await fixture.open()
            let id = try await fixture.begin(spool)
            #expect(try await disk.run("fsfreeze", "-f", disk.path).isEmpty)
            let isDone = NIOLockedValueBox(false)
            let finish = Task {
                try await spool.finish(fixture.report(id: id))
                isDone.withLockedValue { $0 = true }
            }
            // More writes queue behind it.
            let begin = Task { try await fixture.begin(spool) }
            #expect(!isDone.withLockedValue { $0 })
            #expect(try await disk.run("fsfreeze", "-u", disk.path).isEmpty)
            try await finish.value
            _ = try await begin.value
            let counts = try await spool.counts()
            #expect(counts.isBalanced && counts.waiting == 1 && counts.running == 1)
            try await spool.close()
        }
    }
}
