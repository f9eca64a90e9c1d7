// SPDX-License-Identifier: Apache-2.0

import Foundation
import Notifications
import PeriodicReports
import Testing

@Suite struct PeriodStateFileTests {
    private func withDirectory(_ body: (URL) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "reports-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        try await body(directory)
    }

    @Test("The first period begins when there is no file, and keeps its beginning")
    func noFile() async throws {
        try await self.withDirectory { directory in
            let path = directory.appending(path: "state.json").path
            let file = PeriodStateFile(path: path, setting: "reports.state_file")
            let none = try file.load()
            #expect(none == nil)
            #expect(!FileManager.default.fileExists(atPath: path))
            let began = time("2026-01-01 00:00:00.000001")
            for now in [began, time("2027-01-01 00:00:00")] {
                let state = try file.loadOrBegin(at: now)
                #expect(state == PeriodState(publishedUntil: began))
            }
        }
    }

    @Test("A written state is read again, and no other file remains")
    func writtenState() async throws {
        try await self.withDirectory { directory in
            let file = PeriodStateFile(path: directory.appending(path: "state.json").path, setting: "s")
            for announced in [nil, time("2026-01-01 01:00:00.5")] {
                let state = PeriodState(publishedUntil: time("2026-01-01 00:00:00"), announcedUntil: announced)
                try await file.write(state)
                let loaded = try file.load()
                #expect(loaded == state)
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["state.json"])
        }
    }

    @Test(
        "A damaged file is an error and stays unchanged",
        arguments: [
            "", "[]", "{", #"{"version":1}"#, #"{"version":2,"published_until":"2026-01-01T00:00:00Z"}"#,
            #"{"version":1,"published_until":"yesterday"}"#, #"{"version":1,"published_until":7}"#,
            #"{"version":1,"published_until":"2026-01-01T00:00:00Z","announced_until":"2026-01-01T00:00:00Z"}"#,
            #"{"version":1,"published_until":"2026-01-01T00:00:00Z"}"# + String(repeating: " ", count: 5000),
        ])
    func damagedFile(text: String) async throws {
        try await self.withDirectory { directory in
            let path = directory.appending(path: "state.json").path
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            let file = PeriodStateFile(path: path, setting: "reports.state_file")
            let error = #expect(throws: PeriodStateError.self) { try file.loadOrBegin(at: .now()) }
            #expect(error?.description.hasPrefix("reports.state_file: the file \(path) is damaged") == true)
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text, "it was left as it was")
        }
    }

    @Test("A directory that does not exist is named in the error on load")
    func missingDirectory() async throws {
        try await self.withDirectory { directory in
            let path = directory.appending(path: "none/state.json").path
            let file = PeriodStateFile(path: path, setting: "reports.state_file")
            let error = #expect(throws: PeriodStateError.self) { try file.load() }
            #expect(error?.description.contains(path) == true)
            await #expect(throws: PeriodStateError.self) { try await file.write(PeriodState(publishedUntil: .now())) }
        }
    }
}
