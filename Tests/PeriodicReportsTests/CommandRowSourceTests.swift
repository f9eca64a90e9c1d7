// SPDX-License-Identifier: Apache-2.0

import Foundation
import LogTesting
import Logging
import Notifications
import PeriodicReports
import Testing

@Suite(.timeLimit(.minutes(1))) struct CommandRowSourceTests {
    private func source(
        _ script: String, log: LogRecorder = LogRecorder(), change: (inout CommandRowSource.Limits) -> Void = { _ in }
    ) -> CommandRowSource {
        var limits = CommandRowSource.Limits()
        limits.timeout = .seconds(50)
        change(&limits)
        return CommandRowSource(
            name: "reports.exists_command", command: ["/bin/sh", "-c", script],
            environment: ["PATH": "/usr/bin:/bin", "ONLY": "this"], limits: limits, logger: log.logger)
    }

    private func failure(
        _ script: String, change: (inout CommandRowSource.Limits) -> Void = { _ in }
    ) async -> String {
        let error = await #expect(throws: RowSourceError.self) {
            try await self.source(script, change: change).rows()
        }
        #expect(error?.description.hasPrefix("reports.exists_command: /bin/sh: ") == true)
        return error?.description ?? ""
    }

    /// Runs the body with a script whose processes all hold an end of a pipe. Returns when all of them have ended.
    private func withLifeline(_ script: String, _ body: @Sendable (String, Task<Void, Never>) async throws -> Void)
        async throws
    {
        let fifo = FileManager.default.temporaryDirectory.appending(path: "reports-\(UUID().uuidString)").path
        try #require(mkfifo(fifo, 0o600) == 0)
        defer { unlink(fifo) }
        let (opened, open) = AsyncStream<Void>.makeStream()
        async let closed: Void = withCheckedContinuation { continuation in
            Thread.detachNewThread {
                // Waits for a writer, then until the last writer has closed.
                let handle = FileHandle(forReadingAtPath: fifo)
                open.finish()
                _ = try? handle?.readToEnd()
                continuation.resume()
            }
        }
        let isOpened = Task { for await _ in opened {} }
        try await body("exec 9>'\(fifo)'; \(script)", isOpened)
        await closed
    }

    @Test("Each line of output is a row")
    func rowPerLine() async throws {
        let rows = try await self.source(#"echo '{"a": 1}'; echo; printf '{"ä":\t"b"}\r\n{"c":null}'"#).rows()
        #expect(rows == [["a": 1], ["ä": "b"], ["c": nil]])
    }

    @Test("The command has only the given environment, and no input")
    func environmentAndInput() async throws {
        let rows = try await self.source(#"cat; echo "{\"only\": \"$ONLY\", \"home\": \"$HOME\"}""#).rows()
        #expect(rows == [["only": "this", "home": ""]])
    }

    @Test("Large output arrives complete")
    func largeOutput() async throws {
        let rows = try await self.source(#"seq 1 20000 | sed 's/.*/{"n": &, "text": "some more of it"}/'"#).rows()
        #expect(rows.count == 20_000 && rows.last?["n"] == 20_000)
    }

    @Test("The error names the failed command's status, or the line and its problem")
    func failureReasons() async {
        #expect(await self.failure("echo '{}'; exit 3").hasSuffix("the command exited with status 3"))
        #expect(await self.failure("echo '{}'; kill -9 $$").hasSuffix("the command was terminated by signal 9"))
        #expect(await self.failure("echo '{}'; echo '{\"a\":'").contains("line 2 is not valid JSON: "))
        #expect(await self.failure("echo; echo '[1]'").hasSuffix("line 2 is an array, not a JSON object"))
        #expect(await self.failure("printf '{}\\n{\"a\": \"\\377\"}'").contains("line 2 is not valid JSON: "))
        #expect(
            await self.failure("echo '{}'; echo '{\"a\": \"0123456789\"}'") { $0.lineBytes = 16 }
                .hasSuffix("line 2 is longer than 16 bytes"))
        #expect(await self.failure("echo '{}'; echo '{}'; echo '{}'") { $0.rows = 2 }.hasSuffix("more than 2 rows"))
    }

    @Test("A byte order mark is not part of the first row")
    func byteOrderMark() async throws {
        let source = self.source("printf '\\357\\273\\277{\"a\":1}\\n{\"a\":2}\\n'")
        #expect(try await source.rows() == [["a": 1], ["a": 2]])
    }

    @Test("An error does not show the content of a line")
    func hiddenContent() async {
        #expect(await !self.failure("echo 'hunter2'").contains("hunter2"))
    }

    @Test("A program that does not exist is named in the error")
    func missingProgram() async {
        let source = CommandRowSource(
            name: "reports.quota_command", command: ["/nonexistent/program"], environment: [:],
            logger: LogRecorder().logger)
        let error = await #expect(throws: RowSourceError.self) { try await source.rows() }
        #expect(
            error?.description.hasPrefix("reports.quota_command: /nonexistent/program: failed to run the command")
                == true)
    }

    @Test("Endless output is cut off at the limit")
    func endlessOutput() async throws {
        try await self.withLifeline("yes '{}' & wait") { script, _ in
            #expect(await self.failure(script) { $0.bytes = 100_000 }.contains("more than 100000 bytes"))
        }
    }

    @Test("A hanging command is killed with every process that it started")
    func hangingCommand() async throws {
        try await self.withLifeline("sleep 1000 & sleep 1000") { script, _ in
            #expect(
                await self.failure(script) { $0.timeout = .milliseconds(200) }.contains(
                    "the command did not end within"))
        }
    }

    /// The command closes its output, as if it were complete, and continues to run.
    @Test("A hanging command that closed its output is killed")
    func closedOutput() async throws {
        try await self.withLifeline("echo '{}'; exec >&- 2>&-; sleep 1000") { script, _ in
            #expect(
                await self.failure(script) { $0.timeout = .milliseconds(200) }.contains(
                    "the command did not end within"))
        }
    }

    /// The output might continue, so the rows that were printed so far are not all.
    @Test("Output that another process holds open is a failure")
    func heldOutput() async throws {
        try await self.withLifeline("sleep 1000 & echo '{}'") { script, _ in
            #expect(await self.failure(script) { $0.timeout = .milliseconds(200) }.hasSuffix("held its output open"))
        }
    }

    @Test("A cancelled command is killed with every process that it started")
    func cancelledCommand() async throws {
        try await self.withLifeline("sleep 1000 & sleep 1000") { script, isOpened in
            let source = self.source(script)
            let rows = Task { try await source.rows() }
            await isOpened.value
            rows.cancel()
            await #expect(throws: CancellationError.self) { try await rows.value }
        }
    }

    @Test("Standard error is logged without control characters")
    func standardError() async throws {
        let log = LogRecorder()
        let rows = try await self.source(#"printf 'one\n\033two\n' >&2; echo '{}'"#, log: log).rows()
        #expect(rows.count == 1)
        #expect(log.entries.map(\.message) == Array(repeating: "Report command wrote to standard error", count: 2))
        #expect(
            log.entries.map(\.metadata) == ["one", " two"].map { ["setting": "reports.exists_command", "text": $0] })
    }

    @Test("The end of a long standard error is logged")
    func longStandardError() async throws {
        let log = LogRecorder()
        _ = try await self.source("seq 1 100000 >&2", log: log) { $0.errorBytes = 20 }.rows()
        #expect(log.entries.count < 10 && log.entries.last?.metadata["text"] == "100000")
    }
}
