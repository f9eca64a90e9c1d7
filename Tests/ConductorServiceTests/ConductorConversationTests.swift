// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import NIOCore
import Notifications
import Notifier
import RelayTesting
import Testing

/// Requests of a guest over a real TLS connection, and their answers.
@Suite(.timeLimit(.minutes(2))) struct ConductorConversationTests {
    private let ping = #"{"jsonrpc":"2.0","id":"after","method":"ping"}"#

    @Test("A request is answered only after the driver has confirmed it")
    func answerAfterDriver() async throws {
        let driver = HeldDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            try await RawGuest.with(conductor) { guest in
                try await guest.send(line: SampleReport.line(id: 1))
                await driver.received(1)
                // A later request is answered first: the earlier one waits for the driver, not for the conductor.
                #expect(try await guest.call(self.ping).contains("\"after\""))
                driver.release()
                #expect(try await guest.line()?.contains(#""id":1,"result""#) == true)
            }
        }
    }

    @Test(
        "An invalid request is answered with its error, and the connection continues",
        arguments: [
            ("hello", "-32700", "parse_error", ""),
            (#"["batch"]"#, "-32600", "invalid_request", ""),
            (#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, "-32600", "invalid_request", "jsonrpc"),
            (#"{"jsonrpc":"2.0","id":1,"method":"shutdown"}"#, "-32601", "unknown_method", "method"),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"notify_end","params":{}}"#, "-32602", "invalid_params",
                "params.context"
            ),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"notify_end","params":{"context":{"operation":"user_create","request_id":1}}}"#,
                "-32602", "invalid_params", "params.context.request_id"
            ),
            (
                #"{"jsonrpc":"2.0","id":1,"method":"notify_end","params":{"context":{"operation":"os.system","request_id":"r","tenant_id":"t","client_ip":"c"}}}"#,
                "-32003", "unknown_event", "params.context.operation"
            ),
            (String(repeating: "x", count: 5000), "-32004", "too_large", ""),
            (String(repeating: "[", count: 4000), "-32700", "parse_error", ""),
            (#"{"a":"# + String(repeating: #"{"a":"#, count: 500), "-32700", "parse_error", ""),
        ])
    func invalidRequests(line: String, code: String, reason: String, field: String) async throws {
        let driver = TestDriver()
        try await withConductor(Notifier(drivers: [driver])) {
            $0.connection.maximumLineLength = 4096
        } _: { conductor in
            try await RawGuest.with(conductor) { guest in
                let answer = try await guest.call(line)
                #expect(answer.contains(#""code":\#(code)"#) && answer.contains(#""reason":"\#(reason)""#), "\(answer)")
                if !field.isEmpty { #expect(answer.contains(#""field":"\#(field)""#), "\(answer)") }
                #expect(try await guest.call(self.ping).contains("\"version\""))
                #expect(try await guest.call(SampleReport.line(id: 2)).contains("published"))
            }
        }
        #expect(driver.notifications.count == 1)
    }

    @Test("Invalid UTF-8 is rejected, and the connection continues")
    func invalidUTF8() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) { conductor in
            try await RawGuest.with(conductor) { guest in
                try await guest.send(
                    Array(#"{"jsonrpc":"2.0","id":1,"method":""#.utf8) + [0xC3, 0x28, 0x22, 0x7D, 0x0A])
                #expect(try await guest.line()?.contains("UTF-8") == true)
                #expect(try await guest.call(self.ping).contains("\"version\""))
            }
        }
    }

    @Test("A line beyond the limit is answered before its end, and the connection continues")
    func endlessLine() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) {
            $0.connection.maximumLineLength = 4096
        } _: { conductor in
            try await RawGuest.with(conductor) { guest in
                try await guest.send([UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20))
                #expect(try await guest.line()?.contains("too_large") == true)
                try await guest.send([UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20) + [0x0A])
                #expect(try await guest.call(self.ping).contains("\"version\""))
            }
        }
    }

    @Test("A conductor that stops answers the requests that it has accepted")
    func requestsDuringDrain() async throws {
        let driver = HeldDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            try await RawGuest.with(conductor) { guest in
                try await guest.send(line: SampleReport.line(id: 1))
                await driver.received(1)
                await conductor.stop()
                driver.release()
                #expect(try await guest.line()?.contains("published") == true)
                #expect(try await guest.line() == nil)
            }
        }
    }

    @Test("A conductor that stops closes a connection after its drain timeout")
    func drainLimit() async throws {
        let driver = HeldDriver()
        try await withConductor(Notifier(drivers: [driver])) {
            $0.connection.drainTimeout = .milliseconds(100)
        } _: { conductor in
            try await RawGuest.with(conductor) { guest in
                try await guest.send(line: SampleReport.line(id: 1))
                await driver.received(1)
                await conductor.stop()
                #expect(try await guest.line() == nil)
            }
        }
        driver.release()
    }
}
