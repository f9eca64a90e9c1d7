// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import NIOCore
import Notifications
import Testing

private let context =
    #"{"operation":"database_create","request_id":"r","tenant_id":"t","client_ip":"c","payload":{"dbname":"d"}}"#

@Suite struct RPCRequestTests {
    private func read(_ line: String) throws(RPCRequestError) -> RPCRequest {
        try RPCRequest(line: ByteBuffer(string: line))
    }

    @Test("A request of each method is read with its parameters")
    func readsEachMethod() throws {
        #expect(
            try self.read(#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
                == RPCRequest(id: .number(.init(1)), call: .ping))
        let end = try self.read(
            #"{"jsonrpc":"2.0","id":"x","method":"notify_end","params":{"context":\#(context),"payload":{"a":1}}}"#)
        guard case .notify(let report) = end.call else { Issue.record("not a report"); return }
        #expect(end.id == .string("x"))
        #expect(report.outcome == .end(payload: ["a": 1]))
        let error = try self.read(
            #"{"jsonrpc":"2.0","method":"notify_exc_info","params":{"context":\#(context),"etype":"E","value":"v","trace":["l"],"message_id":"7f8ff6b6-2f1f-40db-ae6f-c92cbc9e2827","timestamp":"2015-06-28 05:54:57"}}"#
        )
        guard case .notify(let report) = error.call else { Issue.record("not a report"); return }
        #expect(error.id == nil)
        #expect(report.outcome == .error(ExceptionInfo(etype: "E", value: "v", trace: ["l"]), payload: [:]))
        #expect(report.messageID.description == "7f8ff6b6-2f1f-40db-ae6f-c92cbc9e2827")
        #expect(report.timestamp.description == "2015-06-28 05:54:57")
    }

    /// Swift's == would sort each of these runs of combining marks, in quadratic time: minutes for each comparison.
    @Test("Text that is expensive for Swift to compare is handled without long delays", .timeLimit(.minutes(1)))
    func expensiveComparison() throws {
        let marks = "a" + String(repeating: "\u{301}", count: 125_000) + String(repeating: "\u{323}", count: 125_000)
        let tail = #""jsonrpc":"2.0","id":1,"method":"notify_end","params":{"context":\#(context)}}"#
        #expect(throws: Never.self) { try self.read("{\"\(marks)\":1," + tail) }
        #expect(throws: RPCRequestError.self) { try self.read(#"{"jsonrpc":"\#(marks)","method":"ping"}"#) }
        let unknown = #expect(throws: RPCRequestError.self) {
            try self.read(#"{"jsonrpc":"2.0","id":1,"method":"\#(marks)"}"#)
        }
        #expect(unknown?.error.code == .unknownMethod)
        #expect(Catalogues.builtIn.operation(marks) == nil)
        #expect(ExceptionInfo(etype: "Error", value: "", trace: [marks]).formatted == [marks, "Error"])
    }

    /// An id is returned with the answer, and kept until then.
    @Test("An id of 256 bytes is accepted, and a longer one is rejected", arguments: ["é", "1"])
    func idLength(unit: String) throws {
        func id(_ bytes: Int) -> String {
            let text = String(repeating: unit, count: bytes / unit.utf8.count)
            return unit == "1" ? text : "\"\(text)\""
        }
        #expect(try self.read(#"{"jsonrpc":"2.0","id":\#(id(256)),"method":"ping"}"#).call == .ping)
        let refusal = #expect(throws: RPCRequestError.self) {
            try self.read(#"{"jsonrpc":"2.0","id":\#(id(258)),"method":"ping"}"#)
        }
        #expect(refusal?.id == .null)
        #expect(refusal?.error.code == .invalidRequest)
        #expect(refusal?.error.field == "id")
        #expect(refusal?.error.limitBytes == 256)
    }

    @Test(
        "An exc_info notification whose error members are null or missing means success",
        arguments: [#""etype":null,"value":null,"trace":null"#, #""message_id":null"#])
    func nullErrorMembers(members: String) throws {
        let request = try self.read(
            #"{"jsonrpc":"2.0","id":1,"method":"notify_exc_info","params":{"context":\#(context),\#(members)}}"#)
        guard case .notify(let report) = request.call else { Issue.record("not a report"); return }
        #expect(report.outcome == .end(payload: [:]))
    }

    @Test(
        "A rejected request has an error with its id, a code, and the name of the field",
        arguments: [
            ("hello", RPCError.Code.parse, RPCID.null, String?.none),
            ("[]", .invalidRequest, .null, nil),
            (#"{"id":1,"method":"ping"}"#, .invalidRequest, .number(.init(1)), "jsonrpc"),
            (#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, .invalidRequest, .number(.init(1)), "jsonrpc"),
            (#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, .invalidRequest, .null, "id"),
            (#"{"jsonrpc":"2.0","id":1}"#, .invalidRequest, .number(.init(1)), "method"),
            (#"{"jsonrpc":"2.0","id":1,"method":"drop","params":[]}"#, .unknownMethod, .number(.init(1)), "method"),
            (#"{"jsonrpc":"2.0","id":1,"method":"notify_end"}"#, .invalidParameters, .number(.init(1)), "params"),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"notify_end","params":[]}"#, .invalidParameters, .number(.init(1)),
                "params"
            ),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"notify_end","params":{}}"#, .invalidParameters, .number(.init(1)),
                "params.context"
            ),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"notify_end","params":{"context":{"operation":"o","request_id":"r","tenant_id":3}}}"#,
                .invalidParameters, .number(.init(1)), "params.context.tenant_id"
            ),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"notify_end","params":{"context":\#(context),"etype":"E"}}"#,
                .invalidParameters, .number(.init(1)), "params.etype"
            ),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"notify_exc_info","params":{"context":\#(context),"value":"E"}}"#,
                .invalidParameters, .number(.init(1)), "params.etype"
            ),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"notify_exc_info","params":{"context":\#(context),"etype":"E","trace":[1]}}"#,
                .invalidParameters, .number(.init(1)), "params.trace"
            ),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"notify_end","params":{"context":\#(context),"message_id":"x"}}"#,
                .invalidParameters, .number(.init(1)), "params.message_id"
            ),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"notify_end","params":{"context":\#(context),"timestamp":"now"}}"#,
                .invalidParameters, .number(.init(1)), "params.timestamp"
            ),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"notify_end","params":{"context":\#(context),"payload":"x"}}"#,
                .invalidParameters, .number(.init(1)), "params.payload"
            ),
        ])
    func rejectedField(line: String, code: RPCError.Code, id: RPCID, field: String?) {
        let refusal = #expect(throws: RPCRequestError.self) { try self.read(line) }
        #expect(refusal?.error.code == code)
        #expect(refusal?.error.field == field)
        #expect(refusal?.id == id)
    }

    @Test("A report is read from its line as it was written")
    func reportRoundTrip() throws {
        let reports = [
            OutcomeReport(
                context: try NotificationContext(json: Array(context.utf8)), outcome: .end(payload: ["backup_id": "ü"])),
            OutcomeReport(
                context: try NotificationContext(json: Array(context.utf8)),
                outcome: .error(
                    ExceptionInfo(etype: "E", value: "", trace: ["a\n", "b"]), payload: ["instance_id": "i"])),
        ]
        for report in reports {
            let request = RPCRequest(id: .number(.init(7)), call: .notify(report))
            let line = request.line
            #expect(line.last == UInt8(ascii: "\n"))
            #expect(try RPCRequest(line: ByteBuffer(bytes: line.dropLast())) == request)
        }
    }
}

@Suite struct RPCResponseTests {
    @Test("A response is read from its line as it was written")
    func roundTrip() throws {
        let errors = RPCError.Code.all.map {
            RPCError($0, "m", field: "params.x", retryAfterMilliseconds: 5, limitBytes: 6)
        }
        let results: [RPCResult] =
            [.success(.pong(version: "1")), .success(.accepted(MessageID(), .duplicate))] + errors.map { .failure($0) }
        for result in results {
            let response = RPCResponse(id: .string("x"), result: result)
            var writer = JSONWriter()
            response.write(to: &writer)
            #expect(writer.bytes.last == UInt8(ascii: "\n"))
            #expect(try RPCResponse(line: ByteBuffer(bytes: writer.bytes)) == response)
        }
    }

    @Test("Error codes have distinct numbers and distinct reasons")
    func distinctCodes() {
        #expect(Set(RPCError.Code.all.map(\.number)).count == RPCError.Code.all.count)
        #expect(Set(RPCError.Code.all.map(\.reason)).count == RPCError.Code.all.count)
    }

    @Test("A peer's text is escaped to one line of bounded length when it is read")
    func peerText() throws {
        let line =
            #"{"jsonrpc":"2.0","id":1,"error":{"code":-32050,"message":"a\n2026 error: forged\u001b[2J\u202e é","#
            + #""data":{"reason":"x\ny","field":"f\u0007"}}}"#
        guard case .failure(let error) = try RPCResponse(line: ByteBuffer(string: line)).result else {
            Issue.record("no error")
            return
        }
        #expect(error.message == #"a\u{a}2026 error: forged\u{1b}[2J\u{202e} é"#)
        #expect(error.code.reason == #"x\u{a}y"# && error.field == #"f\u{7}"#)
        // An escape counts with all its characters, so that text that was cut once is not cut again.
        for text in [String(repeating: "m", count: 100_000), String(repeating: "\u{85}\u{1F600}", count: 1000)] {
            let long = #"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"\#(text)"}}"#
            guard case .failure(let cut) = try RPCResponse(line: ByteBuffer(string: long)).result else {
                Issue.record("no error")
                return
            }
            #expect((4090...4096).contains(cut.message.unicodeScalars.count) && cut.message.last == "…")
            #expect(cut.message.oneLine(limit: 4096) == cut.message)
        }
    }

    @Test("An unknown error code keeps its number, its reason, and whether it is retryable")
    func unknownCode() throws {
        let line =
            #"{"jsonrpc":"2.0","id":1,"error":{"code":-32050,"message":"m","data":{"reason":"new","retryable":true}}}"#
        guard case .failure(let error) = try RPCResponse(line: ByteBuffer(string: line)).result else {
            Issue.record("no error")
            return
        }
        #expect(error.code == RPCError.Code(number: -32050, reason: "new", isRetryable: true))
    }
}
