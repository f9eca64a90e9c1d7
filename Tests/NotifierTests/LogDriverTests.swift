// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import LogTesting
import Logging
import Notifications
import Testing

@testable import Notifier

/// The lines of JSON that the driver writes, and its errors when they cannot be written.
@Suite(.timeLimit(.minutes(1))) struct LogDriverTests {
    private let notification = LogDriverTests.notification(of: "ü")

    /// Ignores SIGPIPE: a write to a pipe without a reader must fail, and not end the tests.
    init() { _ = signal(SIGPIPE, SIG_IGN) }

    private static func notification(of username: String) -> NotificationMessage {
        NotificationMessage(
            messageID: MessageID(), publisherID: "conductor.c", eventType: "dbaas.user_create.end", priority: .info,
            payload: ["username": .string(username)], timestamp: .now())
    }

    @Test("A notification is written as a line of JSON")
    func lineOfJSON() async throws {
        let pipe = Pipe()
        try await LogDriver(output: pipe.fileHandleForWriting).emit(self.notification)
        try pipe.fileHandleForWriting.close()
        let line = try #require(try pipe.fileHandleForReading.readToEnd())
        #expect(line.last == UInt8(ascii: "\n"))
        let object = try #require(try JSONValue(json: Array(line.dropLast())).object)
        #expect(object["event_type"] == "dbaas.user_create.end")
        #expect(object["payload"] == ["username": "ü"])
    }

    /// Uses a named pipe, because one reader can close it and another can open it.
    @Test("A notification after a partial line is written on a new line")
    func lineAfterPartialLine() async throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "log-\(UUID().uuidString)").path
        #expect(mkfifo(path, 0o600) == 0)
        defer { unlink(path) }
        let reader = open(path, O_RDONLY | O_NONBLOCK)
        let output = try #require(FileHandle(forWritingAtPath: path))
        let driver = LogDriver(output: output)
        // The pipe accepts only a part of the line; then its reader closes it.
        // Not in a task, which might have to wait for this one: the poll below blocks a thread of the pool.
        let (results, torn) = AsyncStream.makeStream(of: Result<Void, DriverError>.self)
        driver.emit(Self.notification(of: String(repeating: "u", count: 1 << 20))) { torn.yield($0) }
        var isReadable = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
        let count = poll(&isReadable, 1, 30_000)
        close(reader)
        try #require(count == 1)
        let result = try #require(await results.first { _ in true })
        let error = #expect(throws: DriverError.self) { try result.get() }
        #expect(error?.isRetryable == true && error?.reason == "standard output cannot be written to: Broken pipe")
        #expect(error?.mayHaveArrived == true)

        let next = FileHandle(fileDescriptor: open(path, O_RDONLY | O_NONBLOCK), closeOnDealloc: true)
        // Reading the written part of the first line frees space. read(upToCount:) would wait for all of it.
        #expect(!next.availableData.isEmpty)
        try await driver.emit(self.notification)
        try output.close()
        // Wait for the end: a program that another test starts at this moment also holds the pipe until it runs.
        try #require(fcntl(next.fileDescriptor, F_SETFL, 0) == 0)
        let rest = try #require(try next.readToEnd())
        let last = try #require(rest.split(separator: UInt8(ascii: "\n")).last)
        #expect(try JSONValue(json: Array(last)).object?["payload"] == ["username": "ü"])
    }

    @Test("A failure is logged once with its reason, and so is its end")
    func failureLogged() async throws {
        let log = LogRecorder()
        let full = try #require(FileHandle(forWritingAtPath: "/dev/full"))
        let driver = LogDriver(output: full, logger: log.logger)
        for _ in 0..<3 {
            let error = await #expect(throws: DriverError.self) { try await driver.emit(self.notification) }
            #expect(error?.description == "driver log: standard output cannot be written to: No space left on device")
        }
        let entries = log.entries
        #expect(entries.count == 1)
        #expect(entries.first?.level == .error)
        #expect(entries.first?.message.contains("standard output") == true)
        #expect(entries.first?.metadata["error"] == "standard output cannot be written to: No space left on device")
        // Another file replaces the full one.
        let file = open("/dev/null", O_WRONLY)
        #expect(dup2(file, full.fileDescriptor) >= 0)
        close(file)
        try await driver.emit(self.notification)
        #expect(log.entries.count == 2)
        #expect(
            log.entries.last?.message.hasPrefix("Resumed writing") == true
                && log.entries.last?.metadata["failed"] == "3")
    }

    @Test("An output whose reader has closed it is a retryable error")
    func closedOutput() async throws {
        let pipe = Pipe()
        try pipe.fileHandleForReading.close()
        let error = await #expect(throws: DriverError.self) {
            try await LogDriver(output: pipe.fileHandleForWriting).emit(self.notification)
        }
        #expect(error?.isRetryable == true)
    }

    /// The bytes have a limit of their own, because a few lines can be gigabytes.
    @Test("The bytes of waiting lines are bounded")
    func waitingBytes() async throws {
        let pipe = Pipe()
        let log = LogRecorder()
        let driver = LogDriver(output: pipe.fileHandleForWriting, capacityBytes: 3 << 20, logger: log.logger)
        let large = Self.notification(of: String(repeating: "u", count: 1 << 20))
        // Without a reader the first is being written, the second waits, and the third is rejected at once.
        let (results, continuation) = AsyncStream.makeStream(of: Result<Void, DriverError>.self)
        for _ in 0..<3 { driver.emit(large) { continuation.yield($0) } }
        var result = results.makeAsyncIterator()
        let first = await result.next()
        let error = #expect(throws: DriverError.self) { try first?.get() }
        #expect(error?.reason == "the queue of lines that wait for the reader of standard output is full")
        // A sender that retries it cannot cause a duplicate.
        #expect(error?.isRetryable == true && error?.mayHaveArrived == false)
        #expect(log.entries.map { $0.metadata["error"] } == [error?.reason])
        // Once they are read, there is space again.
        let reader = pipe.fileHandleForReading
        let reading = Task.detached {
            var count = 0
            while let data = try reader.read(upToCount: 1 << 16), !data.isEmpty { count += data.count }
            return count
        }
        for _ in 0..<2 { try await result.next()?.get() }
        try await driver.emit(self.notification)
        try pipe.fileHandleForWriting.close()
        #expect(try await reading.value > 2 << 20)
    }

    @Test("A line longer than the limit is accepted when no other line waits")
    func longLine() async throws {
        let driver = LogDriver(output: try #require(FileHandle(forWritingAtPath: "/dev/null")), capacityBytes: 10)
        try await driver.emit(self.notification)
    }

    @Test("Failures are logged at most once a minute")
    func failureLogInterval() {
        var trouble = OutputFailureLogStateMachine()
        let start = ContinuousClock.now
        #expect(trouble.recordSuccess() == nil)
        #expect(trouble.recordFailure(now: start) == 1)
        for second in 1..<60 { #expect(trouble.recordFailure(now: start + .seconds(second)) == nil) }
        #expect(trouble.recordFailure(now: start + .seconds(60)) == 60)
        #expect(trouble.recordSuccess() == 61)
        #expect(trouble.recordSuccess() == nil)
        // An output that fails and recovers in turn does not fill the log.
        for second in 61..<120 {
            #expect(trouble.recordFailure(now: start + .seconds(second)) == nil)
            #expect(trouble.recordSuccess() == nil)
        }
        #expect(trouble.recordFailure(now: start + .seconds(120)) == 1)
    }
}
