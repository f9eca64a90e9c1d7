// SPDX-License-Identifier: Apache-2.0

import Dispatch
import FileReloading
import Foundation
import NIOPosix
import Testing

/// A file that changes, and a reloader that makes a text of it.
@Suite("A reloader of files", .timeLimit(.minutes(1)))
struct FileReloaderTests {
    /// A directory with one file, which is removed with the value.
    private final class TestFile: Sendable {
        let path: String
        private let directory: URL

        init(_ text: String) throws {
            self.directory = FileManager.default.temporaryDirectory.appending(path: "reload-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: false)
            self.path = self.directory.appending(path: "file").path
            try self.write(text)
        }

        deinit { try? FileManager.default.removeItem(at: self.directory) }

        func write(_ text: String) throws { try Data(text.utf8).write(to: URL(filePath: self.path), options: .atomic) }
    }

    /// Makes a reloader of the file, and runs it until the body returns. Its value is the text of the file, `first` is in
    /// use, and `bad` cannot be used.
    ///
    /// - Parameter isRunning: false for a reloader that reads the files only on request.
    private func withReloader(
        of file: TestFile, hangThreshold: Duration = .seconds(60), gate: DispatchSemaphore? = nil,
        isRunning: Bool = true,
        _ body: (FileReloader<String>, AsyncStream<String>) async throws -> Void
    ) async throws {
        let (events, sink) = AsyncStream.makeStream(of: String.self)
        let reloader = FileReloader<String>(
            interval: .milliseconds(10), gracePeriod: .seconds(60), hangThreshold: hangThreshold, threads: .singleton,
            files: {
                .init(paths: { [file.path] }) {
                    gate?.wait()
                    let text = (try? String(contentsOfFile: file.path, encoding: .utf8)) ?? "missing"
                    switch text {
                    case "first": return (.same, text)
                    case "bad", "missing": return (.unusable("it is \(text)"), text)
                    default: return (.new, text)
                    }
                }
            },
            handle: { event in
                switch event {
                case .began: sink.yield("began")
                case .read(let reading) where reading.verdict != .nothing:
                    sink.yield("\(reading.verdict) \(reading.value) \(reading.paths == [file.path])")
                case .read, .checked: break
                case .unresponsive: sink.yield("unresponsive")
                case .responsive: sink.yield("responsive")
                }
            })
        let run = isRunning ? Task { await reloader.run() } : nil
        defer { run?.cancel() }
        try await body(reloader, events)
    }

    @Test("A change is used, unusable files are rejected, and files that are usable again are reported")
    func changes() async throws {
        let file = try TestFile("first")
        try await self.withReloader(of: file) { reloader, stream in
            var events = stream.makeAsyncIterator()
            #expect(await events.next() == "began")
            try file.write("bad")
            // A requested reading does not wait for the grace period.
            await reloader.reload()
            #expect(await events.next() == "reject(\"it is bad\") bad true")
            try file.write("first")
            #expect(await events.next() == "logUnchanged(wasUnusable: true) first true")
            await reloader.reload()
            #expect(await events.next() == "logUnchanged(wasUnusable: false) first true")
            try file.write("second")
            #expect(await events.next() == "use(wasUnusable: false) second true")
            #expect(!reloader.isStuck)
        }
    }

    @Test("A hang that only a requested reading has noticed is reported, and so is its end")
    func hangOnRequest() async throws {
        let gate = DispatchSemaphore(value: 0)
        let file = try TestFile("first")
        try await self.withReloader(of: file, hangThreshold: .milliseconds(50), gate: gate, isRunning: false) {
            reloader, stream in
            var events = stream.makeAsyncIterator()
            await reloader.reload()
            #expect(await events.next() == "began")
            #expect(await events.next() == "unresponsive")
            for _ in 0..<10_000 { gate.signal() }
            #expect(await events.next() == "logUnchanged(wasUnusable: false) first true")
            #expect(await events.next() == "responsive")
        }
    }

    @Test("A file system that stops responding is reported, and reported again when it responds")
    func hangingFileSystem() async throws {
        let gate = DispatchSemaphore(value: 0)
        let file = try TestFile("first")
        try await self.withReloader(of: file, hangThreshold: .milliseconds(50), gate: gate) { reloader, stream in
            var events = stream.makeAsyncIterator()
            #expect(await events.next() == "began")
            #expect(await events.next() == "unresponsive")
            #expect(reloader.isStuck)
            // Enough for every later reading.
            for _ in 0..<10_000 { gate.signal() }
            #expect(await events.next() == "responsive")
            // The next check may be slow on a busy machine, but ends.
            while reloader.isStuck { await Task.yield() }
        }
    }
}
