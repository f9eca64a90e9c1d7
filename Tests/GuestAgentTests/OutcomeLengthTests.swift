// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import GuestSpool
import LogTesting
import Logging
import NIOCore
import Notifications
import Notifier
import RandomTesting
import RelayTesting
import Testing

@testable import GuestAgent

@Suite(.timeLimit(.minutes(2))) struct OutcomeLengthTests {
    private static let scalars: [Unicode.Scalar] = [
        "a", "b", " ", "\"", "\\", "\n", "\u{0}", "\u{7F}", "é", "\u{301}", "€", "😀",
    ]

    private func text(_ length: Int, _ random: inout Seeded) -> String {
        var text = String.UnicodeScalarView()
        for _ in 0..<length { text.append(Self.scalars.randomElement(using: &random) ?? "a") }
        return String(text)
    }

    private func report(_ exception: ExceptionInfo) -> OutcomeReport {
        OutcomeReport(context: SampleReport.context(), outcome: .error(exception, payload: ["instance_id": "inst-1"]))
    }

    private func exception(_ report: OutcomeReport) throws -> ExceptionInfo {
        guard case .error(let exception, _) = report.outcome else {
            throw TestFailure(description: "no error is left")
        }
        return exception
    }

    private struct TestFailure: Error { var description: String }

    @Test("An error is truncated to the line limit, its trace before its text", arguments: 0..<200 as Range<UInt64>)
    func truncatedError(seed: UInt64) throws {
        var random = Seeded(seed)
        func length() -> Int { [0, 1, 30, 500, 5000].randomElement(using: &random) ?? 0 }
        let whole = ExceptionInfo(
            etype: self.text(1 + length(), &random), value: self.text(length(), &random),
            trace: (0..<Int.random(in: 0...8, using: &random)).map { _ in self.text(length(), &random) })
        var report = self.report(whole)
        let limit = Int.random(in: 900...6000, using: &random)
        let fits = report.lineLength <= limit
        let isShort = report.truncate(toLineLength: limit)
        #expect(isShort)
        #expect(report.lineLength <= limit)
        let cut = try self.exception(report)
        if fits {
            #expect(cut == whole)
        } else {
            let all = [cut.etype, cut.value] + cut.trace
            // A combining mark of the text may follow the end of the truncation mark.
            #expect(all.contains { String($0.unicodeScalars.filter(\.isASCII)).contains("bytes left out]") })
            // No more is cut than necessary: the text is cut only if almost nothing of the trace is left.
            let trace = cut.trace.reduce(0) { $0 + TextTruncation.encodedLength(of: $1) }
            if !cut.value.hasSameBytes(as: whole.value) { #expect(trace <= 2 * TextTruncation.markLength) }
        }
    }

    @Test(
        "Computed lengths equal those of the JSON writer, and truncation keeps the limit",
        arguments: 0..<50 as Range<UInt64>)
    func encodedLengths(seed: UInt64) {
        var random = Seeded(seed)
        let text = self.text(200, &random)
        #expect(TextTruncation.encodedLength(of: text) + 2 == JSONWriter.encode(.string(text)).count)
        for limit in [45, 46, 100, 333] {
            for cut in [
                TextTruncation.beginning(of: text, encodedLength: limit),
                TextTruncation.end(of: text, encodedLength: limit),
            ] {
                #expect(TextTruncation.encodedLength(of: cut) <= limit)
            }
        }
    }

    /// A conductor accepts no more values in a request, however short they are.
    @Test("A trace with too many lines is truncated to its last lines")
    func manyTraceLines() throws {
        let trace = (1...20_000).map { "\($0)" }
        var report = self.report(ExceptionInfo(etype: "Failed", value: "it failed", trace: trace))
        let isShort = report.truncate(toLineLength: 1 << 20)
        #expect(isShort)
        let cut = try self.exception(report)
        #expect(cut.trace.count == OutcomeReport.maximumTraceLines)
        #expect(Array(cut.trace.dropFirst()) == Array(trace.suffix(OutcomeReport.maximumTraceLines - 1)))
        #expect(cut.trace.first?.contains("bytes left out") == true)
        let request = RPCRequest(id: .number(.init(1)), call: .notify(report))
        _ = try RPCRequest(line: ByteBuffer(bytes: request.line.dropLast()))
    }

    @Test("A truncated trace keeps its last lines and states how many bytes are missing")
    func lastTraceLines() throws {
        let trace = (1...1000).map { "line \($0)" }
        var report = self.report(ExceptionInfo(etype: "Failed", value: "it failed", trace: trace))
        let isShort = report.truncate(toLineLength: 2000)
        #expect(isShort)
        let cut = try self.exception(report)
        #expect(cut.etype == "Failed" && cut.value == "it failed")
        let kept = cut.trace.dropFirst()
        #expect(kept.count > 10)
        #expect(Array(kept) == Array(trace.suffix(kept.count)))
        let missing = trace.dropLast(kept.count).reduce(0) { $0 + $1.utf8.count }
        #expect(cut.trace.first == "[… \(missing) bytes left out]")
    }

    @Test("A trace in one piece keeps its end")
    func traceInOnePiece() throws {
        var report = self.report(
            ExceptionInfo(etype: "Failed", value: "", trace: [(1...1000).map { "line \($0)" }.joined(separator: "\n")]))
        let isShort = report.truncate(toLineLength: 2000)
        #expect(isShort)
        let cut = try self.exception(report)
        #expect(cut.trace.count == 1)
        #expect(cut.trace.first?.hasPrefix("[… ") == true && cut.trace.first?.hasSuffix("line 1000") == true)
    }

    @Test("A text is truncated at its end")
    func truncatedText() throws {
        var report = self.report(
            ExceptionInfo(etype: "Failed", value: "it failed" + String(repeating: "€", count: 5000)))
        let isShort = report.truncate(toLineLength: 2000)
        #expect(isShort)
        let value = try self.exception(report).value
        #expect(value.hasPrefix("it failed€€") && value.hasSuffix(" bytes left out]"))
    }

    @Test("An end that is too long is left unchanged")
    func endTooLong() {
        var end = SampleReport.end(dbname: String(repeating: "x", count: 5000))
        let whole = end
        let isShort = end.truncate(toLineLength: 2000)
        #expect(!isShort)
        #expect(end == whole)
    }

    @Test("An error that is too long is truncated and sent; an end is logged and set aside")
    func longErrorsAndEnds() async throws {
        let driver = RejectingDriver()
        let memory = MemoryOutbox()
        let log = LogRecorder()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            var configuration = GuestAgent.Configuration.test(
                ports: [conductor.port], certificates: conductor.certificates)
            configuration.maximumLineLength = 1 << 16
            let limit = configuration.maximumLineLength
            let agent = try GuestAgent(configuration: configuration, outbox: memory, logger: log.logger("agent"))
            let long = String(repeating: "\u{0}", count: 100_000)
            for trace in [[], [long], [long, "the end"]] {
                try await agent.notify(
                    .error(ExceptionInfo(etype: long, value: long, trace: trace), payload: [:]),
                    context: SampleReport.context())
            }
            try await agent.notify(.end(payload: ["backup_id": .string(long)]), context: SampleReport.context())
            // The outcomes are sent as they are in the outbox.
            let kept = try await memory.entries(.error, after: 0, limit: 10)
            #expect(kept.allSatisfy { $0.report.lineLength <= limit })
            #expect(log.entries.map(\.level) == [.error])
            try await AgentRun(agent, log.logger("agent")).drained()
        }
        let counts = try await memory.counts()
        #expect((counts.setAside, counts.waiting) == (1, 0))
    }
}
