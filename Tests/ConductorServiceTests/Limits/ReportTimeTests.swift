// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import Logging
import Notifications
import Notifier
import RelayTesting
import TLSChannel
import Testing

/// Limits for the time of an outcome.
@Suite(.timeLimit(.minutes(1))) struct ReportTimeTests {
    private let driver = TestDriver()
    private static let day = 86_400.0

    private func report(_ secondsFromNow: Double) -> OutcomeReport {
        var report = SampleReport.end()
        report.timestamp = NotificationTimestamp(
            microsecondsSinceEpoch: NotificationTimestamp.now().microsecondsSinceEpoch + Int64(secondsFromNow * 1e6))
        return report
    }

    private func answer(_ report: OutcomeReport, limits: ReportLimits = ReportLimits()) async -> RPCResult {
        let relay = Relay(
            notifier: Notifier(drivers: [self.driver]), catalogues: .builtIn, publisherID: "conductor.control-1",
            limits: limits, logger: Logger(label: "test"))
        let peer = RPCPeer(
            certificate: SignedGuest.certificate, remoteAddress: "192.0.2.9:5", localAddress: "192.0.2.1:8790")
        return await withCheckedContinuation { continuation in
            relay.handle(.notify(report), from: peer) { continuation.resume(returning: $0) }
        }
    }

    @Test(
        "A time in the past, or in the future within the allowed skew, is accepted",
        arguments: [60, 3600, 14 * 3600, Self.day - 5, -1e9] as [Double])
    func plausibleTime(secondsFromNow: Double) async {
        let report = self.report(secondsFromNow)
        #expect(await self.answer(report) == .success(.accepted(report.messageID, .published)))
        #expect(self.driver.notifications.first?.timestamp == report.timestamp)
    }

    @Test("A time in the future beyond the allowed skew is rejected", arguments: [Self.day + 60, 1e9])
    func futureTime(secondsFromNow: Double) async {
        let error = await self.answer(self.report(secondsFromNow)).failure
        #expect(error?.code == .invalidParameters && error?.field == "params.timestamp")
        #expect(error?.message.contains("more than 86400 seconds (limits.clock_skew of this conductor) after") == true)
        #expect(self.driver.notifications.isEmpty)
    }

    @Test("The last second of the year 9999 is rejected")
    func lastRepresentableTime() async throws {
        var report = SampleReport.end()
        report.timestamp = try #require(NotificationTimestamp("9999-12-31 23:59:59"))
        #expect(await self.answer(report).failure?.field == "params.timestamp")
    }

    @Test("The operator can change the allowed skew")
    func skewSetting() async {
        var limits = ReportLimits()
        limits.clockSkew = 10
        #expect(
            await self.answer(self.report(60), limits: limits).failure?.message.contains("more than 10 seconds") == true
        )
        limits.clockSkew = 315_360_000
        let late = self.report(86_400 * 365)
        #expect(await self.answer(late, limits: limits) == .success(.accepted(late.messageID, .published)))
    }

    @Test("An outcome more than a day before its context was signed is rejected")
    func timeBeforeSignature() async throws {
        let guest = try SignedGuest(self.driver)
        for (seconds, isTaken) in [
            (-60.0, true), (-7200, true), (60 - Self.day, true), (-60 - Self.day, false), (Self.day + 60, false),
        ] {
            var report = self.report(seconds)
            report.context = try guest.signer.sign(report.context)
            let answer = await guest.answer(report)
            if isTaken {
                #expect(answer == .success(.accepted(report.messageID, .published)), "\(seconds)")
            } else {
                #expect(answer.failure?.code == .invalidParameters && answer.failure?.field == "params.timestamp")
                #expect(
                    answer.failure?.message.contains(seconds < 0 ? "before the control plane signed" : "after the")
                        == true)
            }
        }
    }

    /// A machine without a hardware clock begins in 1970: an operator can accept its outcomes, and the answer says how.
    @Test("An outcome of a clock that begins in 1970 can be accepted with a setting")
    func clockFrom1970() async throws {
        let strict = try SignedGuest(self.driver)
        var report = SampleReport.end()
        report.timestamp = NotificationTimestamp(microsecondsSinceEpoch: 60_000_000)
        report.context = try strict.signer.sign(report.context)
        let error = await strict.answer(report).failure
        #expect(error?.code == .invalidParameters && error?.field == "params.timestamp")
        let needed = try #require(error?.message.firstMatch(of: /limits\.clock_lag is at least (\d+)/)?.output.1)
        var limits = ReportLimits()
        limits.clockLag = try #require(Double(needed))
        // The setting may have this value.
        #expect(limits.clockLag < 3_155_760_000)
        let guest = try SignedGuest(self.driver, limits: limits)
        #expect(await guest.answer(report) == .success(.accepted(report.messageID, .published)))
        #expect(self.driver.notifications.map(\.timestamp) == [report.timestamp])
        // A future time is still rejected.
        var late = self.report(Self.day + 60)
        late.context = try guest.signer.sign(late.context)
        let lateError = await guest.answer(late).failure
        let skew = try #require(lateError?.message.firstMatch(of: /limits\.clock_skew is at least (\d+)/)?.output.1)
        #expect(Int(skew).map { (86_400...86_461).contains($0) } == true)
    }

    /// A time that was signed in another form than the published one is the same time.
    @Test("A signed time matches the same time in any form")
    func signedTimeForms() async throws {
        let when = FieldDefinition(name: "when", kind: .timestamp, isRequired: true, description: "")
        let error = EventDefinition(eventType: "shop.sell.error", priority: .error, fields: [])
        let shop = Catalogue(
            service: "shop", description: "", baseFields: Catalogue.dbaas.baseFields, identifiers: ["when"],
            operations: [
                OperationDefinition(
                    key: "sell", start: EventDefinition(eventType: "shop.sell.start", fields: [when]),
                    end: EventDefinition(eventType: "shop.sell.end", fields: [when]), error: error)
            ], events: [])
        let guest = try SignedGuest(self.driver, catalogues: Catalogues([shop]))
        func send(_ signed: JSONValue, _ said: JSONObject) async throws -> RPCResult {
            let context = NotificationContext(
                operation: "shop.sell", requestID: MessageID().description, tenantID: "t", clientIP: "c",
                payload: ["when": signed])
            return await guest.answer(
                OutcomeReport(context: try guest.signer.sign(context), outcome: .end(payload: said)))
        }
        let text: JSONValue = "2015-06-28T07:54:52.5+02:00"
        #expect(try await send(text, [:]).failure == nil)
        #expect(try await send(text, ["when": text]).failure == nil)
        #expect(try await send(text, ["when": "2015-06-28T05:54:52.500000Z"]).failure == nil)
        #expect(
            self.driver.notifications.map { $0.payload["when"] }
                == Array(repeating: "2015-06-28T05:54:52.500000Z", count: 3))
        #expect(try await send(text, ["when": "2015-06-28T05:54:53.500000Z"]).failure?.field == "params.context.token")
    }
}
