// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import LogTesting
import NIOConcurrencyHelpers
import SecureFiles
import Testing

@testable import GuestSpool

@Suite("Detection of an agent that uses a spool")
struct SpoolHolderTests {
    /// Returns the holder as in a container: there are locks, and the system's list shows none.
    private func holder(_ fixture: SpoolFixture, locks: String? = "") throws -> SpoolHolder {
        let directory = SpoolDirectory(path: fixture.directory)
        return SpoolHolder(directory, in: try directory.openForReading(), locks: { locks })
    }

    @Test("If the system lists no locks, the lock itself shows whether an agent uses a spool", arguments: [nil, ""])
    func withoutList(locks: String?) async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            #expect(try self.holder(fixture, locks: locks) == .process(getpid()))
            try await spool.close()
            #expect(try self.holder(fixture, locks: locks) == .noAgent)
            try FileManager.default.removeItem(atPath: "\(fixture.directory)/agent.lock")
            #expect(try self.holder(fixture, locks: locks) == .noAgent)
        }
    }

    @Test(
        "An agent that a process namespace hides is found, without its process id",
        arguments: ["", "1: FLOCK ADVISORY WRITE 7 fe:01:99 0 EOF\n"])
    func hiddenAgent(locks: String) async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            try Data("no number\n".utf8).write(to: URL(filePath: "\(fixture.directory)/agent.lock"))
            #expect(try self.holder(fixture, locks: locks) == .unknown)
            try await spool.close()
        }
    }

    @Test("Inspections of a spool's lock do not prevent an agent from taking it", .timeLimit(.minutes(1)))
    func inspectionsBlockNoAgent() async throws {
        try await SpoolFixture.with { fixture in
            try await fixture.open().close()
            let directory = SpoolDirectory(path: fixture.directory)
            let opened = try directory.openForWriting()
            for _ in 0..<20 {
                let isOver = NIOLockedValueBox(false)
                let inspections = DispatchGroup()
                for _ in 0..<2 {
                    DispatchQueue.global().async(group: inspections) {
                        repeat {
                            do { _ = try self.holder(fixture) } catch { Issue.record("\(error)") }
                        } while !isOver.withLockedValue({ $0 })
                    }
                }
                // An agent that fails to get the lock because of an inspection gets it after the inspection.
                var refusals = 0
                let lock = try SpoolLock(directory, in: opened) {
                    refusals += 1
                    isOver.withLockedValue { $0 = true }
                    inspections.wait()
                }
                #expect(refusals <= 1)
                isOver.withLockedValue { $0 = true }
                inspections.wait()
                lock.release()
            }
        }
    }

    @Test("An agent waits for an inspection to release the lock, but not for another agent")
    func lockDuringInspection() async throws {
        try await SpoolFixture.with { fixture in
            try await fixture.open().close()
            let directory = SpoolDirectory(path: fixture.directory)
            let opened = try directory.openForWriting()
            let lockFile = try OpenFile("\(fixture.directory)/agent.lock", O_RDONLY, action: "read")
            let descriptor = lockFile.descriptor
            try #require(flock(descriptor, LOCK_SH | LOCK_NB) == 0)
            var pauses = 0
            // The agent fails to get the lock twice, and retries.
            let lock = try SpoolLock(directory, in: opened) {
                pauses += 1
                if pauses == 2 { #expect(flock(descriptor, LOCK_UN) == 0) }
            }
            #expect(pauses == 2)
            let error = #expect(throws: OutboxError.self) {
                _ = try SpoolLock(directory, in: opened) { Issue.record("it waits for an agent") }
            }
            #expect(error?.code == .inUse)
            lock.release()
            _ = consume lockFile
        }
    }
}
