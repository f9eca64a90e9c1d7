// SPDX-License-Identifier: Apache-2.0

import CertificateIssuing
import ConductorRPC
import ConductorService
import NIOConcurrencyHelpers
import NIOCore
import Notifications
import Notifier
import RelayTesting
import TLSChannel
import Testing

/// Guests that send more than their rate limit allows, over real sockets.
@Suite(.timeLimit(.minutes(3))) struct RateLimitTests {
    private static let ping = #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#

    private func with(
        _ driver: any NotificationDriver, _ rates: (inout GuestRateLimitStateMachine.Rates) -> Void,
        _ body: (RunningConductor) async throws -> Void
    ) async throws {
        try await withConductor(Notifier(drivers: [driver])) {
            rates(&$0.limits.rates)
        } _: { conductor in
            try conductor.certificates.write(
                "other",
                conductor.certificates.authority.issueClient(
                    commonName: "inst-2", uris: ["spiffe://conductor.test/instance/inst-2"], validity: .days(1)))
            try await body(conductor)
        }
    }

    @Test("A guest beyond its rate limit is answered with a time to retry after")
    func retryAfterRateLimit() async throws {
        let driver = TestDriver()
        try await self.with(driver) {
            $0.requestsPerSecond = 50
            $0.requestsBurst = 20
        } _: { conductor in
            // Its two connections have one rate limit.
            try await RawGuest.with(conductor) { first in
                try await RawGuest.with(conductor) { second in
                    let ids = (1...60).map { _ in MessageID() }
                    /// The times to wait of the rejected requests, and whether one was accepted after a rejected one:
                    /// it took a token that had been promised.
                    func send(_ numbers: some Sequence<Int>, _ guest: inout RawGuest) async throws -> (
                        waits: [Int: Int], isPlaceTaken: Bool
                    ) {
                        let lines = numbers.map { SampleReport.line(id: $0, messageID: ids[$0 - 1]) + "\n" }
                        try await guest.send(Array(lines.joined().utf8))
                        var waits: [Int: Int] = [:]
                        var isPlaceTaken = false
                        for _ in lines {
                            let answer = try #require(try await guest.line())
                            let id = try #require(answer.firstMatch(of: /"id":(\d+)/).flatMap { Int($0.output.1) })
                            guard !answer.contains("published") else {
                                isPlaceTaken = isPlaceTaken || waits.keys.contains { $0 < id }
                                continue
                            }
                            #expect(answer.contains(#""code":-32005"#) && answer.contains(#""retryable":true"#))
                            let wait = try #require(answer.firstMatch(of: /"retry_after_ms":(\d+)/)?.output.1)
                            waits[id] = Int(wait)
                        }
                        return (waits, isPlaceTaken)
                    }
                    #expect(try await send(1...20, &first).waits.isEmpty)
                    // Some tokens were refilled meanwhile, more of them on a slower machine.
                    var (waits, isPlaceTaken) = try await send(21...60, &second)
                    #expect(!waits.isEmpty)
                    var rounds = 0
                    while !waits.isEmpty, rounds < 20 {
                        #expect(waits.values.allSatisfy { 1...402 ~= $0 }, "\(waits)")
                        try await Task.sleep(for: .milliseconds(waits.values.max() ?? 0))
                        // As many as fit into the burst: none is rejected twice, unless a later one took its token.
                        let again = waits.keys.sorted().prefix(20)
                        for id in again { waits[id] = nil }
                        let rejected = try await send(again, &second)
                        #expect(rejected.waits.isEmpty || isPlaceTaken, "\(rejected)")
                        waits.merge(rejected.waits) { $1 }
                        isPlaceTaken = isPlaceTaken || rejected.isPlaceTaken
                        rounds += 1
                    }
                }
            }
            #expect(driver.notifications.count == 60)
            let counters = conductor.counters
            #expect(counters.isBalanced && counters.published == 60)
            #expect(counters.rejected["rate_limited"] == counters.rejectedTotal)
            #expect(counters.received == 60 + counters.rejectedTotal)
        }
    }

    /// A guest that floods from several connections, and does not read its answers, costs the others nothing.
    @Test("A guest that floods does not prevent another guest from being served")
    func floodingGuest() async throws {
        try await self.with(NoopDriver()) {
            $0.requestsPerSecond = 200
            $0.requestsBurst = 200
            $0.bytesPerSecond = 1 << 20
            $0.bytesBurst = 1 << 20
        } _: { conductor in
            let isOver = NIOLockedValueBox(false)
            let junk = Array(
                String(repeating: Self.ping + "\n" + SampleReport.line(id: 7) + "\n\n\n" + "nonsense\n", count: 100)
                    .utf8)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for _ in 1...4 {
                    tasks.addTask {
                        try await RawGuest.with(conductor) { flooder in
                            // A write waits until the conductor reads, so another task ends it.
                            let send = flooder.sender
                            let flood = Task { while !isOver.withLockedValue({ $0 }) { try await send(junk) } }
                            while !isOver.withLockedValue({ $0 }) { try await Task.sleep(for: .milliseconds(10)) }
                            flood.cancel()
                        }
                    }
                }
                // Until it has exceeded its rate limit.
                while conductor.counters.rejected["rate_limited"] == nil { try await Task.sleep(for: .milliseconds(5)) }
                try await RawGuest.with(conductor, certificate: "other") { other in
                    for id in 1...100 {
                        let answer = try await other.call(SampleReport.line(id: id, instance: "inst-2"))
                        #expect(answer.contains("published"), "\(answer)")
                    }
                }
                isOver.withLockedValue { $0 = true }
                try await tasks.waitForAll()
            }
            #expect(conductor.counters.isBalanced)
        }
    }

    /// The guest waits until its bytes are refilled, as it would for lines, and is then answered.
    @Test("Small records during a byte debt do not close the connection while rejections remain")
    func smallRecordsInDebt() async throws {
        try await self.with(TestDriver()) {
            $0.requestsPerSecond = 1
            $0.requestsBurst = 1
            $0.bytesPerSecond = 2000
            $0.bytesBurst = 100
        } _: { conductor in
            try await RawGuest.with(conductor) { guest in
                // Takes the only request, and the bytes of a second: the records stay in the socket until then.
                #expect(try await guest.call(Self.ping + String(repeating: " ", count: 2000)).contains("result"))
                // The cost of forty requests.
                for _ in 1...(41 * RecordChargeStateMachine.recordsPerToken) {
                    try await guest.send([UInt8(ascii: "x")])
                }
                #expect(try await guest.call("").contains(#""error""#))
                #expect(try await guest.call(SampleReport.line(id: 1)).contains(#""id":1"#))
            }
        }
    }

    @Test("Requests beyond the rate of bytes wait, and are then served")
    func waitingBytes() async throws {
        try await self.with(TestDriver()) {
            $0.bytesPerSecond = 200_000
            $0.bytesBurst = 10_000
        } _: { conductor in
            try await RawGuest.with(conductor) { guest in
                let start = ContinuousClock.now
                let lines = (1...300).map { SampleReport.line(id: $0) + "\n" }.joined()
                try await guest.send(Array(lines.utf8))
                for _ in 1...300 { #expect(try await guest.line()?.contains("published") == true) }
                // All are answered, and not before their time.
                let least = Double(lines.utf8.count - 10_000) / 200_000
                #expect(ContinuousClock.now - start >= .seconds(least * 0.99))
            }
            #expect(conductor.counters.rejectedTotal == 0)
        }
    }

    /// One guest cannot delay the others: a short line that becomes a long message costs the bytes of the message.
    @Test("A guest is charged the bytes of the encoded message")
    func encodedMessageBytes() async throws {
        try await self.with(ChargingDriver(bytes: 100_000)) {
            $0.bytesPerSecond = 400_000
            $0.bytesBurst = 10_000
        } _: { conductor in
            try await RawGuest.with(conductor) { guest in
                let start = ContinuousClock.now
                for id in 1...4 { #expect(try await guest.call(SampleReport.line(id: id)).contains("published")) }
                // The bytes of the first three must have been refilled; the lines alone would take no time at all.
                #expect(ContinuousClock.now - start >= .seconds(290_000.0 / 400_000 * 0.99))
                // Another guest has its own rate limit.
                try await RawGuest.with(conductor, certificate: "other") { other in
                    let start = ContinuousClock.now
                    let answer = try await other.call(SampleReport.line(id: 1, instance: "inst-2"))
                    #expect(answer.contains("published"))
                    #expect(ContinuousClock.now - start < .seconds(5))
                }
            }
            #expect(conductor.counters.rejectedTotal == 0)
        }
    }

    /// A guest that disconnects while it is paused keeps none of its connections for the rest of the pause, unless it
    /// has sent more than its socket holds.
    @Test("The end of a paused connection is noticed at once")
    func endOfPausedConnection() async throws {
        try await self.with(TestDriver()) {
            // The bytes of the line below are refilled after a minute and a half.
            ($0.bytesPerSecond, $0.bytesBurst) = (1024, 1024)
        } _: { conductor in
            let start = ContinuousClock.now
            try await RawGuest.with(conductor) { guest in
                #expect(try await guest.call(Self.ping).contains("version"))
                try await guest.send([UInt8](repeating: UInt8(ascii: "a"), count: 96 << 10))
                while conductor.connections.bufferedInput == 0 { try await Task.sleep(for: .milliseconds(5)) }
            }
            while conductor.connections.connections > 0 { try await Task.sleep(for: .milliseconds(5)) }
            #expect(ContinuousClock.now - start < .seconds(60))
        }
    }

    /// A line of brackets only costs no more than another line of the same length.
    @Test("Nesting and the number of values are bounded, and the connection continues")
    func boundedNesting() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) { conductor in
            try await RawGuest.with(conductor) { guest in
                for bracket in ["[", #"{"a":"#] {
                    let bomb = String(repeating: bracket, count: 1_000_000 / bracket.utf8.count)
                    let answer = try await guest.call(bomb)
                    #expect(answer.contains(#""reason":"parse_error""#) && answer.contains("32"), "\(answer)")
                }
                // As many values as fit into a line.
                let wide = try await guest.call("[" + String(repeating: "[],", count: 300_000) + "1]")
                #expect(wide.contains("parse_error") && wide.contains("\(RPCProtocol.maximumValues) values"), "\(wide)")
                // The maximum depth is accepted.
                let deep = RPCProtocol.maximumDepth - 3
                let value = String(repeating: "[", count: deep) + String(repeating: "]", count: deep)
                for (value, reason) in [(value, "invalid_params"), ("[\(value)]", "parse_error")] {
                    let answer = try await guest.call(
                        #"{"jsonrpc":"2.0","id":1,"method":"notify_end","params":{"context":{"x":\#(value)}}}"#)
                    #expect(answer.contains(reason), "\(answer)")
                }
                #expect(try await guest.call(Self.ping).contains("version"))
            }
        }
    }
}

/// A driver whose messages all have the same length.
private struct ChargingDriver: NotificationDriver {
    let name = "charging"
    let bytes: Int

    func emit(_ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void)
    {
        notification.sender?.charge(bytes: self.bytes)
        completion(.success(()))
    }
}
