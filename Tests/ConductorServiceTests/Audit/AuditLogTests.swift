// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import ContextSigning
import Dispatch
import LogTesting
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Notifications
import Notifier
import RelayTesting
import TLSChannel
import Testing

/// The audit line of each accepted outcome, without a network.
@Suite(.timeLimit(.minutes(2))) struct AuditLogTests {
    private let log = LogRecorder()

    private func relay(_ driver: any NotificationDriver, audit: AuditLog?) -> Relay {
        Relay(
            notifier: Notifier(drivers: [driver]), catalogues: .builtIn, publisherID: "conductor.test", audit: audit,
            logger: self.log.logger)
    }

    private let records = NIOLockedValueBox([AuditRecord]())
    private let time = NIOLockedValueBox(NIODeadline.uptimeNanoseconds(1))

    private func audit(capacity: Int = AuditLog.defaultCapacity) -> AuditLog {
        AuditLog(
            capacity: capacity, warnings: self.log.logger, now: { [time] in time.withLockedValue { $0 } },
            log: { [records] batch in records.withLockedValue { $0 += batch } })
    }

    private func pass(_ time: TimeAmount) { self.time.withLockedValue { $0 = $0 + time } }

    private func peer(_ relay: Relay, tenant: String = "tenant-1") -> RPCPeer {
        let certificate = PeerCertificate(
            commonName: nil, uris: ["spiffe://conductor.test/tenant/\(tenant)/instance/inst-1"], dnsNames: [],
            serialNumber: "0a1b2c", notBefore: 0, notAfter: .max, sha256: "")
        return RPCPeer(
            certificate: certificate, identity: relay.identity(of: certificate), remoteAddress: "192.0.2.9:5",
            localAddress: "192.0.2.1:8790")
    }

    private func answer(_ relay: Relay, _ report: OutcomeReport) async -> RPCResult {
        await withCheckedContinuation { continuation in
            relay.handle(.notify(report), from: self.peer(relay)) { continuation.resume(returning: $0) }
        }
    }

    /// Returns the audit lines so far, after all pending ones are written.
    private func lines(_ audit: AuditLog) async -> [AuditRecord] {
        await audit.drain(within: .seconds(60))
        return self.records.withLockedValue { $0 }
    }

    private func line(
        _ report: OutcomeReport, _ disposition: AuditRecord.Disposition, duplicates: Int = 0
    ) -> AuditRecord {
        var record = AuditRecord(
            messageID: report.messageID, eventType: "dbaas.database_create.end", guest: "tenant-1/inst-1",
            certificateSerial: "0a1b2c", peer: "192.0.2.9:5", isSigned: false, disposition: disposition)
        record.duplicates = duplicates
        return record
    }

    @Test("An audit line has the format of the log's other lines")
    func lineFormat() {
        let report = SampleReport.end()
        let text = AuditRecord.lines(of: [self.line(report, .published), self.line(report, .unconfirmed)])
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count == 3 && lines.last == "")
        let duplicate = AuditRecord.lines(of: [self.line(report, .duplicate, duplicates: 7)])
        #expect(duplicate.contains(" disposition=duplicate duplicates=7 event_type="))
        var withOthers = self.line(report, .duplicate, duplicates: 7)
        withOthers.duplicatesOfOthers = 3
        #expect(AuditRecord.lines(of: [withOthers]).contains(" duplicates=7 duplicates_of_others=3 event_type="))
        for (line, disposition) in zip(lines, ["published", "unconfirmed"]) {
            #expect(
                line.drop { $0 != " " } == """
                     info conductor.audit: certificate_serial=0a1b2c disposition=\(disposition) \
                    event_type=dbaas.database_create.end guest=tenant-1/inst-1 message_id=\(report.messageID) \
                    peer=192.0.2.9:5 signed=false [ConductorService] Accepted an outcome
                    """)
            #expect(line.prefix { $0 != " " }.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}/) != nil)
        }
    }

    @Test("An accepted outcome has an audit line with its guest, certificate and address")
    func acceptedOutcomeAuditLine() async {
        let audit = self.audit()
        let relay = self.relay(TestDriver(), audit: audit)
        let report = SampleReport.end()
        #expect(await self.answer(relay, report) == .success(.accepted(report.messageID, .published)))
        #expect(await self.answer(relay, report) == .success(.accepted(report.messageID, .duplicate)))
        #expect(
            await self.lines(audit) == [self.line(report, .published), self.line(report, .duplicate, duplicates: 1)])
    }

    /// A guest cannot fill the log by sending published outcomes again.
    @Test("A guest's duplicates have one audit line a minute, with their number")
    func duplicatesPerMinute() async {
        let audit = self.audit()
        let relay = self.relay(TestDriver(), audit: audit)
        let report = SampleReport.end()
        _ = await self.answer(relay, report)
        for _ in 1...100 {
            #expect(await self.answer(relay, report) == .success(.accepted(report.messageID, .duplicate)))
        }
        var expected = [self.line(report, .published), self.line(report, .duplicate, duplicates: 1)]
        #expect(await self.lines(audit) == expected)
        #expect(relay.counters.duplicate == 100)
        for (time, count) in [(.seconds(59), nil), (.seconds(1), 101), (.seconds(60), 1)] as [(TimeAmount, Int?)] {
            self.pass(time)
            _ = await self.answer(relay, report)
            if let count { expected.append(self.line(report, .duplicate, duplicates: count)) }
            #expect(await self.lines(audit) == expected)
        }
    }

    /// A duplicate whose line has no place is still counted.
    @Test("The next line counts the duplicates that had no place for a line")
    func duplicatesWithoutPlace() async {
        let (driver, audit) = (HeldDriver(), self.audit(capacity: 1))
        let relay = self.relay(driver, audit: audit)
        let (report, other) = (SampleReport.end(), SampleReport.end())
        for (number, outcome) in [report, other].enumerated() {
            async let answer = self.answer(relay, outcome)
            await driver.received(number + 1)
            // The other outcome has the only place.
            for _ in 0..<(3 * number) {
                #expect(await self.answer(relay, report) == .success(.accepted(report.messageID, .duplicate)))
            }
            driver.release()
            #expect(await answer == .success(.accepted(outcome.messageID, .published)))
            _ = await self.lines(audit)
        }
        _ = await self.answer(relay, report)
        #expect(
            await self.lines(audit) == [
                self.line(report, .published), self.line(other, .published),
                self.line(report, .duplicate, duplicates: 4),
            ])
    }

    /// A repeated request reserves no place, so outcomes of other guests are not rejected because of it.
    @Test("Requests that repeat an outcome in flight take no places")
    func repeatedRequestsInFlight() async {
        let (driver, audit) = (HeldDriver(), self.audit(capacity: 2))
        let relay = self.relay(driver, audit: audit)
        let (report, other) = (SampleReport.end(), SampleReport.end())
        let results = NIOLockedValueBox([RPCResult]())
        for report in Array(repeating: report, count: 20) + [other] {
            relay.handle(.notify(report), from: self.peer(relay)) { result in
                results.withLockedValue { $0.append(result) }
            }
        }
        #expect(relay.counters.inFlight == 21)
        driver.release()
        let answers = results.withLockedValue { $0 }
        #expect(answers.count { $0 == .success(.accepted(report.messageID, .duplicate)) } == 19)
        #expect(answers.count { $0 == .success(.accepted(report.messageID, .published)) } == 1)
        #expect(answers.count { $0 == .success(.accepted(other.messageID, .published)) } == 1)
        #expect(self.log.count("Rejected outcomes") == 0)
        // Both published outcomes have a line; whether a duplicate has one depends on whether there is a place.
        let published = await self.lines(audit).filter { $0.disposition == .published }
        #expect(Set(published.map(\.messageID)) == [report.messageID, other.messageID])
    }

    /// Each request for the outcome is answered, and the next attempt is a new one.
    @Test("An outcome that was rejected for lack of a place is new when it is sent again")
    func outcomeWithoutPlace() async {
        let (driver, audit) = (HeldDriver(), self.audit(capacity: 1))
        let relay = self.relay(driver, audit: audit)
        let (first, second) = (SampleReport.end(), SampleReport.end())
        async let held = self.answer(relay, first)
        await driver.received(1)
        for _ in 1...3 { #expect(await self.answer(relay, second).failure?.code == .brokerUnavailable) }
        #expect(relay.counters.inFlight == 1 && relay.counters.isBalanced)
        driver.release()
        #expect(await held == .success(.accepted(first.messageID, .published)))
        _ = await self.lines(audit)
        async let again = self.answer(relay, second)
        await driver.received(2)
        driver.release()
        #expect(await again == .success(.accepted(second.messageID, .published)))
    }

    @Test("There are more places than outcomes can be in flight to the broker")
    func defaultPlaces() {
        // Two connections, each with its window and its inbox.
        #expect(MessagingDriver.maximumInHand == 22_000)
        #expect(AuditLog.defaultCapacity > MessagingDriver.maximumInHand)
    }

    @Test("An outcome that joins one in flight has an audit line once that one is published")
    func joinedOutcome() async {
        let (driver, audit) = (HeldDriver(), self.audit())
        let relay = self.relay(driver, audit: audit)
        let report = SampleReport.end()
        for _ in 1...2 { relay.handle(.notify(report), from: self.peer(relay)) { _ in } }
        #expect(relay.counters.inFlight == 2)
        driver.release()
        #expect(
            await self.lines(audit) == [self.line(report, .published), self.line(report, .duplicate, duplicates: 1)])
    }

    @Test("An unconfirmed outcome has an audit line, and one that the driver refused has none")
    func unconfirmedOutcome() async {
        for (error, expected) in [
            (
                DriverError(.unavailable, driver: "held", reason: "lost"),
                AuditRecord.Disposition.unconfirmed as AuditRecord.Disposition?
            ),
            (DriverError(.rejected, driver: "held", reason: "no"), nil),
        ] {
            let (driver, audit) = (HeldDriver(), self.audit())
            let relay = self.relay(driver, audit: audit)
            let report = SampleReport.end()
            async let answer = self.answer(relay, report)
            await driver.received(1)
            driver.release(.failure(error))
            #expect(await answer.failure != nil)
            let lines = await self.lines(audit).filter { $0.messageID == report.messageID }
            #expect(lines == (expected.map { [self.line(report, $0)] } ?? []))
        }
    }

    @Test("A rejected outcome has no audit line and takes no place")
    func rejectedOutcome() async {
        let audit = self.audit(capacity: 1)
        let relay = self.relay(TestDriver(), audit: audit)
        let report = SampleReport.end()
        _ = await self.answer(relay, report)
        _ = await self.lines(audit)
        var other = SampleReport.end(dbname: "stock")
        other.messageID = report.messageID
        for _ in 1...3 { #expect(await self.answer(relay, other).failure?.code == .invalidParameters) }
        let last = SampleReport.end()
        #expect(await self.answer(relay, last) == .success(.accepted(last.messageID, .published)))
        #expect(await self.lines(audit).map(\.messageID) == [report, last].map(\.messageID))
    }

    @Test("An outcome without a place for its line is not published, and can be retried")
    func fullBacklog() async throws {
        // The log's reader accepts nothing until the test allows it.
        let (isOpen, driver) = (DispatchSemaphore(value: 0), TestDriver())
        let audit = AuditLog(capacity: 3, warnings: self.log.logger) { [records] batch in
            isOpen.wait()
            isOpen.signal()
            records.withLockedValue { $0 += batch }
        }
        let relay = self.relay(driver, audit: audit)
        let published = (1...3).map { _ in SampleReport.end() }
        // No line can be written, and no answer waits for one.
        for report in published {
            #expect(await self.answer(relay, report) == .success(.accepted(report.messageID, .published)))
        }
        let refused = SampleReport.end()
        let failure = await self.answer(relay, refused).failure
        #expect(failure?.code == .brokerUnavailable)
        #expect(failure?.retryAfterMilliseconds == 1000)
        #expect(driver.notifications.map(\.messageID) == published.map(\.messageID))
        #expect(relay.counters.rejected == ["broker_unavailable": 1] && relay.counters.isBalanced)
        #expect(self.log.count("Rejected outcomes: the audit backlog is full") == 1)
        isOpen.signal()
        await audit.drain(within: .seconds(60))
        #expect(await self.answer(relay, refused) == .success(.accepted(refused.messageID, .published)))
        #expect(await self.lines(audit).map(\.messageID) == (published + [refused]).map(\.messageID))
    }

    @Test("With the audit switched off, an outcome is published without an audit line")
    func auditSwitchedOff() async {
        let relay = self.relay(TestDriver(), audit: nil)
        let report = SampleReport.end()
        #expect(await self.answer(relay, report) == .success(.accepted(report.messageID, .published)))
        #expect(self.records.withLockedValue { $0 }.isEmpty)
    }

    @Test("The audit line of a signed outcome says that it is signed")
    func signedOutcome() async throws {
        let audit = self.audit()
        let key = try SignedGuest.key("now")
        let relay = Relay(
            notifier: Notifier(drivers: [TestDriver()]), catalogues: .builtIn, publisherID: "conductor.test",
            verifier: ContextVerifier(
                keys: try SigningKeySet([key]), configuration: ContextVerifier.Configuration(policy: .require)),
            audit: audit, logger: self.log.logger)
        let context = try ContextSigner(key: key).sign(SampleReport.context())
        let report = OutcomeReport(context: context, outcome: .end(payload: [:]))
        #expect(await self.answer(relay, report) == .success(.accepted(report.messageID, .published)))
        #expect(await self.lines(audit).map(\.isSigned) == [true])
    }
}
