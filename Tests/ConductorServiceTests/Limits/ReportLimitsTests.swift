// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import Notifications
import Notifier
import RelayTesting
import Testing

@Suite(.timeLimit(.minutes(2))) struct ReportLimitsTests {
    /// Sends the report twice, and returns the published messages and the answers.
    private func relayed(_ report: OutcomeReport, traceBytes: Int = 2000, payloadBytes: Int = 3000) async throws
        -> (published: [NotificationMessage], answers: [String])
    {
        let driver = TestDriver()
        var answers: [String] = []
        var limits = ReportLimits()
        limits.traceBytes = traceBytes
        limits.payloadBytes = payloadBytes
        try await withConductor(Notifier(drivers: [driver]), limits: limits) { conductor in
            try await RawGuest.with(conductor) { guest in
                let line = String(
                    decoding: RPCRequest(id: .number(.init(1)), call: .notify(report)).line, as: UTF8.self)
                for _ in 1...2 { answers.append(try await guest.call(String(line.dropLast()))) }
            }
        }
        return (driver.notifications, answers)
    }

    private func error(value: String, trace: [String]) -> OutcomeReport {
        OutcomeReport(
            context: SampleReport.context(),
            outcome: .error(ExceptionInfo(etype: "Failed", value: value, trace: trace), payload: [:]))
    }

    private func lines(_ message: NotificationMessage, _ field: String) -> [String] {
        guard case .array(let lines)? = message.payload[field] else { return [] }
        return lines.compactMap(\.string)
    }

    @Test("A long trace is cut in the middle, and has the number of bytes left out")
    func longTrace() async throws {
        let trace = (1...1000).map { "line \($0)" }
        let (published, answers) = try await self.relayed(self.error(value: "it failed", trace: trace))
        #expect(answers[0].contains("published"))
        // It is cut as before, so it is the same outcome.
        #expect(answers[1].contains("duplicate"))
        let message = try #require(published.first)
        #expect(message.payload["message"] == "it failed")
        let exception = self.lines(message, "exception")
        let mark = try #require(exception.firstIndex { $0.hasSuffix("bytes left out]") })
        #expect(mark > 10 && exception.count - mark > 60)
        #expect(Array(exception[..<mark]) == Array(trace[..<mark]))
        let tail = exception[(mark + 1)...].dropLast()
        #expect(Array(tail) == Array(trace.suffix(tail.count)))
        #expect(exception.last == "Failed: it failed")
        let missing = trace[mark..<(trace.count - tail.count)].reduce(0) { $0 + $1.utf8.count }
        #expect(exception[mark] == "[… \(missing) bytes left out]")
    }

    @Test("A long text is redacted before it is cut in the middle")
    func longText() async throws {
        // The name and the secret are on different sides of the cut.
        let text = String(repeating: "a", count: 460) + " password=" + String(repeating: "s", count: 4000) + " the end"
        let (published, _) = try await self.relayed(
            self.error(value: text + String(repeating: " b", count: 3000), trace: []))
        let message = try #require(published.first)
        let value = try #require(message.payload["message"]?.string)
        #expect(value.contains("bytes left out]") && value.contains("password=***"))
        #expect(!value.contains("sss") && !self.lines(message, "exception").joined().contains("sss"))
        #expect(JSONWriter.encode(.string(value)).count <= 2002)
    }

    @Test("A trace and a text within the limit are not changed")
    func textsThatFit() async throws {
        let trace = [String](repeating: "0123456", count: 200)  // With their quotes and commas 2000 bytes.
        let (published, _) = try await self.relayed(
            self.error(value: String(repeating: "v", count: 2000), trace: trace))
        let message = try #require(published.first)
        #expect(self.lines(message, "exception").dropLast() == trace[...])
        #expect(message.payload["message"]?.string?.utf8.count == 2000)
    }

    @Test("A payload is accepted up to its limit", arguments: [(1500, true), (3000, false)])
    func payloadLimit(length: Int, isTaken: Bool) async throws {
        let (published, answers) = try await self.relayed(
            SampleReport.end(dbname: String(repeating: "x", count: length)))
        #expect(published.count == (isTaken ? 1 : 0))
        if isTaken {
            #expect(answers[0].contains("published"))
        } else {
            #expect(answers[0].contains(#""reason":"too_large","retryable":false,"limit_bytes":3000"#))
        }
    }

    /// An error's text and trace are cut instead, up to the length that a request may have.
    @Test("An error is not rejected for a long trace")
    func errorWithLongTrace() async throws {
        let trace = (1...16_000).map { "line \($0)" }
        let (published, _) = try await self.relayed(
            self.error(value: "v", trace: trace), traceBytes: 64 << 10, payloadBytes: 1024)
        #expect(published.count == 1)
    }

    @Test("The request context counts as payload")
    func requestContextBytes() async throws {
        var report = SampleReport.end()
        let longest = JSONValue.string(String(repeating: "é", count: 127))
        report.context.requestContext = [
            "user_domain": longest, "project_domain": longest, "global_request_id": longest,
        ]
        let (published, answers) = try await self.relayed(report, payloadBytes: 1024)
        #expect(published.isEmpty)
        #expect(answers[0].contains("too_large"))
    }
}
