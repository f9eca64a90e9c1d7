// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestSpool
import LogTesting
import Logging
import Testing

@Suite struct SpoolSlotsTests {
    private let logger = Logger.quiet

    private func with(_ body: (String) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "slots-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try await body(directory)
    }

    @Test("Each agent takes the first free slot")
    func firstFreeSlot() async throws {
        try await self.with { directory in
            let slots = SpoolSlots(directory)
            let error = #expect(throws: OutboxError.self) { try slots.existing() }
            #expect(error?.code == .noSpool)
            let first = try await slots.openFirstFree(logger: self.logger)
            let second = try await slots.openFirstFree(logger: self.logger)
            #expect((first.path, second.path) == ("\(directory)/exec-1", "\(directory)/exec-2"))
            try await first.spool.close()
            let third = try await slots.openFirstFree(logger: self.logger)
            #expect(third.path == first.path)
            #expect(try slots.existing() == [first.path, second.path])
            try await second.spool.close()
            try await third.spool.close()
        }
    }

    @Test("An agent is rejected when all 64 slots are in use")
    func allSlotsInUse() async throws {
        try await self.with { directory in
            let slots = SpoolSlots(directory)
            var spools: [Spool] = []
            for _ in 0..<SpoolSlots.limit { spools.append(try await slots.openFirstFree(logger: self.logger).spool) }
            let error = await #expect(throws: OutboxError.self) {
                _ = try await slots.openFirstFree(logger: self.logger)
            }
            #expect(error?.code == .inUse)
            #expect(error?.description.contains("All 64 slots") == true)
            for spool in spools { try await spool.close() }
        }
    }

    @Test("A slot that cannot be used is an error and is not skipped")
    func unusableSlot() async throws {
        try await self.with { directory in
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            try Data("in the way".utf8).write(to: URL(fileURLWithPath: "\(directory)/exec-1"))
            let error = await #expect(throws: OutboxError.self) {
                _ = try await SpoolSlots(directory).openFirstFree(logger: self.logger)
            }
            #expect(error?.code == .notWritable)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["exec-1"])
        }
    }

    @Test("A slot without a database file, because its repair was cut short, is found and opened")
    func unfinishedRepair() async throws {
        try await self.with { directory in
            let slots = SpoolSlots(directory)
            let (spool, path) = try await slots.openFirstFree(logger: self.logger)
            try await spool.close()
            let damaged = "spool.sqlite.damaged-20261121T000000Z"
            try Data("\(damaged)\nreason\n".utf8).write(to: URL(filePath: "\(path)/spool.sqlite.mending"))
            try FileManager.default.moveItem(atPath: "\(path)/spool.sqlite", toPath: "\(path)/\(damaged)")
            #expect(try slots.existing() == [path])
            let error = await #expect(throws: OutboxError.self) { try await SpoolInspection(path).overview() }
            #expect(error?.code == .failed && error?.description.contains("is being repaired") == true)
            let again = try await Spool.open(path, logger: self.logger)
            try await again.close()
            #expect(try await SpoolInspection(path).overview().damagedFiles.map(\.name) == [damaged])
        }
    }
}
