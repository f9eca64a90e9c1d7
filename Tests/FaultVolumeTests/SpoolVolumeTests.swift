// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import ProcessTesting
import RandomTesting
import Testing

@testable import FaultVolume

/// Tests that each fault is real: one of the kernel, and not only one that the volume claims.
@Suite(.serialized) struct SpoolVolumeTests {
    @Test("A power cut loses what was not synced, and nothing else", .timeLimit(.minutes(2)))
    func powerCut() async throws {
        try await withVolume { volume in
            try writeFile("\(volume.path)/synced", "kept", isSynced: true)
            try writeFile("\(volume.path)/unsynced", "lost", isSynced: false)
            #expect(fileText("\(volume.path)/unsynced") == "lost")
            try await volume.cutPower()
            #expect(throws: DiskFile.Failure(number: EIO)) {
                try writeFile("\(volume.path)/late", "never", isSynced: false)
            }
            try await volume.remount()
            #expect(fileText("\(volume.path)/synced") == "kept")
            #expect((fileText("\(volume.path)/unsynced") ?? "").isEmpty)
            try writeFile("\(volume.path)/late", "again", isSynced: true)
        }
    }

    @Test("Data that a process reported as synced before a power cut is on the disk", .timeLimit(.minutes(2)))
    func outputBeforePowerCut() async throws {
        // Prints each number once it is on the disk.
        let program = """
            import os, sys
            file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            print(os.getpid(), "pid", flush=True)
            for number in range(10 ** 9):
                os.write(file, b"%d\\n" % number)
                os.fdatasync(file)
                print(number, "said", flush=True)
            """
        try await withVolume { volume in
            for round in 0..<10 {
                var random = Seeded(UInt64(round))
                let path = "\(volume.path)/numbers-\(round)"
                let process = try TestProcess("/usr/bin/python3", ["-c", program, path])
                let first = await process.outputUntil("\(Int.random(in: 1...40, using: &random)) said")
                let pid = try #require(first.split(separator: " ").first.flatMap { Int32($0) })
                try await volume.powerCut(of: [pid])
                let said = await process.outputUntilExit().split(separator: "\n").filter { $0.hasSuffix("said") }
                let found = (fileText(path) ?? "").split(separator: "\n")
                #expect(said.count >= 2 && found.count >= said.count)
            }
        }
    }

    @Test("A full disk rejects writes until space is freed", .timeLimit(.minutes(2)))
    func fullDisk() async throws {
        try await withVolume { volume in
            let file = try DiskFile("\(volume.path)/file")
            try file.append([UInt8](repeating: 1, count: 4096))
            try await volume.fill()
            #expect(throws: DiskFile.Failure(number: ENOSPC)) {
                try file.append([UInt8](repeating: 1, count: 64 << 10))
            }
            try volume.free()
            // ext4 has the space once its journal is committed.
            try await VolumeCommand.run("sync", "--file-system", volume.path)
            try file.append([UInt8](repeating: 1, count: 64 << 10))
            try file.sync()
        }
    }

    @Test("A read-only disk rejects writes, also to open files, and can still be read", .timeLimit(.minutes(2)))
    func readOnlyDisk() async throws {
        try await withVolume { volume in
            try writeFile("\(volume.path)/read", "kept", isSynced: true)
            try await {
                // Closed before the volume is mounted again.
                let file = try DiskFile("\(volume.path)/open")
                try await volume.makeReadOnly()
                #expect(throws: DiskFile.Failure(number: EROFS)) { try file.append([1]) }
                #expect(throws: DiskFile.Failure(number: EROFS)) { _ = try DiskFile("\(volume.path)/new") }
            }()
            #expect(fileText("\(volume.path)/read") == "kept")
            try await volume.remount()
            try writeFile("\(volume.path)/new", "again", isSynced: true)
            #expect(fileText("\(volume.path)/read") == "kept")
        }
    }

    @Test("A frozen disk blocks a writer until it is thawed", .timeLimit(.minutes(2)))
    func frozenDisk() async throws {
        try await withVolume { volume in
            let path = "\(volume.path)/file"
            let writer = try TestProcess(
                "sh",
                ["-c", "exec 3>\"$1\"; echo $$ pid; read line; echo written >&3; sync \"$1\"; echo synced", "sh", path])
            let pid = try #require(await writer.outputUntil("pid").split(separator: " ").first)
            try await volume.freeze()
            try writer.send("go\n")
            // D: it waits in the kernel, where no signal reaches it. It would have ended if the disk had taken the
            // text.
            var state = ""
            while state != "D" {
                try Task.checkCancellation()
                let stat = try #require(fileText("/proc/\(pid)/stat"), "the writer was not held up")
                state = stat.split(separator: ")").last?.split(separator: " ").first.map(String.init) ?? ""
                await Task.yield()
            }
            #expect(fileText(path)?.isEmpty == true)
            try await volume.thaw()
            #expect(await writer.outputUntilExit().hasSuffix("synced\n"))
            #expect(fileText(path) == "written\n")
        }
    }

    @Test("After any fault, destroy() leaves no mount, no loop device and no file", .timeLimit(.minutes(2)))
    func destroyAfterFaults() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "destroy-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: directory) }
        let faults: [(SpoolVolume) async throws -> Void] = [
            { _ in }, { try await $0.cutPower() }, { try await $0.makeReadOnly() }, { try await $0.freeze() },
            { try await $0.fill() },
        ]
        for fault in faults {
            let volume = try await SpoolVolume.make(in: directory, megabytes: 16)
            #expect(try traces(of: directory).count == 2)
            try await fault(volume)
            await volume.destroy()
            #expect(try traces(of: directory) == [])
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
            await volume.destroy()
        }
    }

    /// If this process is killed, `destroy()` is not called, and the input of the keepers ends.
    @Test("A thin volume that is not destroyed leaves no mount, no loop device and no file", .timeLimit(.minutes(2)))
    func abandonedThinVolume() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "thin-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: directory) }
        let volume = try await ThinVolume.make(in: directory)
        try volume.exhaust()
        #expect(try traces(of: directory).count == 3)
        volume.abandon()
        // The kernel has no event for a mount that is gone.
        while try !traces(of: directory).isEmpty
            || !FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty
        {
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    @Test("The error of a failed mount names what the machine needs", .timeLimit(.minutes(2)))
    func failedMount() async throws {
        let error = await #expect(throws: VolumeError.self) {
            // A file system of this size fits on no disk.
            _ = try await SpoolVolume.make(in: FileManager.default.temporaryDirectory, megabytes: 1 << 40)
        }
        #expect(error?.description.contains("root, loop devices") == true)
    }

    /// Returns the mounts below a directory and the loop devices on files in it, as the kernel lists them.
    private func traces(of directory: URL) throws -> [String] {
        let mounts = try String(contentsOfFile: "/proc/mounts", encoding: .utf8).split(separator: "\n").filter {
            $0.contains(directory.path)
        }.map(String.init)
        let devices = try FileManager.default.contentsOfDirectory(atPath: "/sys/block").filter {
            fileText("/sys/block/\($0)/loop/backing_file")?.hasPrefix(directory.path) == true
        }
        return mounts + devices
    }
}
