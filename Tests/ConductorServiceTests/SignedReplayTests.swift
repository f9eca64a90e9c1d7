// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import ContextSigning
import NIOConcurrencyHelpers
import Notifications
import Notifier
import RandomTesting
import RelayTesting
import Testing

/// A signed operation ends once.
@Suite(.timeLimit(.minutes(1))) struct SignedReplayTests {
    private func report(_ context: NotificationContext, _ messageID: MessageID = MessageID()) -> OutcomeReport {
        OutcomeReport(context: context, outcome: .end(payload: [:]), messageID: messageID)
    }

    private let failed = OperationOutcome.error(ExceptionInfo(etype: "E", value: "v"), payload: [:])

    @Test("A second outcome of a signed operation is rejected, and the same one is a duplicate")
    func secondOutcome() async throws {
        let driver = TestDriver()
        let guest = try SignedGuest(driver)
        let context = try guest.signer.sign(SampleReport.context())
        let first = self.report(context)
        #expect(await guest.answer(first) == .success(.accepted(first.messageID, .published)))
        #expect(await guest.answer(first) == .success(.accepted(first.messageID, .duplicate)))
        // A second end, and an error after the end.
        for outcome in [first.outcome, self.failed] {
            let answer = await guest.answer(OutcomeReport(context: context, outcome: outcome))
            #expect(answer.failure?.code == .notPermitted && answer.failure?.field == "params.context.token")
        }
        // Another outcome under the first one's id, as without signatures.
        let other = OutcomeReport(context: context, outcome: self.failed, messageID: first.messageID)
        #expect(await guest.answer(other).failure?.field == "params.message_id")
        // The same operation, signed again, is another one.
        let again = self.report(try guest.signer.sign(SampleReport.context()))
        #expect(await guest.answer(again) == .success(.accepted(again.messageID, .published)))
        #expect(driver.notifications.map(\.messageID) == [first.messageID, again.messageID])
        let counters = guest.relay.counters
        #expect(counters.isBalanced && counters.published == 2 && counters.duplicate == 1)
        #expect(counters.rejected == ["not_permitted": 2, "invalid_params": 1])
    }

    @Test("One identifier (jti) is one operation, with and without the service in front of the operation's name")
    func spellingsOfOneOperation() async throws {
        let driver = TestDriver()
        let guest = try SignedGuest(driver)
        let now = Int(NotificationTimestamp.now().microsecondsSinceEpoch / 1_000_000)
        var claims = ContextClaims(SampleReport.context(), instanceID: nil, issuedAt: now, lifetime: 60)
        let first = self.report(try guest.context(claims))
        #expect(await guest.answer(first) == .success(.accepted(first.messageID, .published)))
        claims.operation = "dbaas.\(claims.operation)"
        let second = self.report(try guest.context(claims))
        #expect(await guest.answer(second).failure?.field == "params.context.token")
        #expect(driver.notifications.map(\.messageID) == [first.messageID])
    }

    /// Outcomes are remembered separately: the operation still knows an outcome that was forgotten, or never
    /// remembered.
    @Test("A repeated outcome is a duplicate although the relay has forgotten it", arguments: [0, 1])
    func repeatOfForgottenOutcome(rememberedIDs: Int) async throws {
        let driver = TestDriver()
        let guest = try SignedGuest(driver, rememberedIDs: rememberedIDs)
        let first = self.report(try guest.signer.sign(SampleReport.context()))
        let second = self.report(try guest.signer.sign(SampleReport.context()))
        for report in [first, second] {
            #expect(await guest.answer(report) == .success(.accepted(report.messageID, .published)))
        }
        for report in [first, second] {
            #expect(await guest.answer(report) == .success(.accepted(report.messageID, .duplicate)))
        }
        let other = OutcomeReport(context: first.context, outcome: self.failed, messageID: first.messageID)
        #expect(await guest.answer(other).failure?.field == "params.message_id")
        #expect(driver.notifications.count == 2)
    }

    @Test("While one outcome is in flight, another is answered with a time to retry after")
    func otherOutcomeInFlight() async throws {
        let driver = HeldDriver()
        let guest = try SignedGuest(driver)
        let context = try guest.signer.sign(SampleReport.context())
        let (first, second) = (self.report(context), self.report(context))
        let answers = NIOLockedValueBox<[RPCResult]>([])
        func send(_ report: OutcomeReport) {
            guest.send(report) { answer in answers.withLockedValue { $0.append(answer) } }
        }
        send(first)
        send(first)
        // The first may still fail: the second is answered as retryable, and does not wait.
        send(second)
        let refused = answers.withLockedValue { $0 }
        #expect(refused.count == 1 && refused.first?.failure?.code == .brokerUnavailable)
        #expect(refused.first?.failure?.retryAfterMilliseconds != nil)
        await driver.received(1)
        driver.release(.failure(Self.unsent))
        #expect(
            answers.withLockedValue { $0.compactMap(\.failure?.code) } == Array(repeating: .brokerUnavailable, count: 3)
        )
        // The first certainly did not reach the broker, so the second is accepted.
        send(second)
        await driver.received(2)
        driver.release()
        #expect(answers.withLockedValue { $0.last } == .success(.accepted(second.messageID, .published)))
        #expect(await guest.answer(first).failure?.code == .notPermitted)
        #expect(guest.relay.counters.isBalanced && guest.relay.counters.inFlight == 0)
    }

    private static let unconfirmed = DriverError(.unavailable, driver: "held", reason: "away")
    private static let unsent = DriverError(unconfirmed, mayHaveArrived: false)

    /// Sends a report whose publishing ends with the given result.
    private func send(
        _ report: OutcomeReport, _ guest: SignedGuest, _ driver: HeldDriver, ending: Result<Void, DriverError>
    ) async -> RPCResult {
        await withCheckedContinuation { continuation in
            guest.send(report) { continuation.resume(returning: $0) }
            driver.release(ending)
        }
    }

    @Test("An outcome that may have reached the broker binds its operation")
    func unconfirmedOutcome() async throws {
        let driver = HeldDriver()
        let guest = try SignedGuest(driver)
        let context = try guest.signer.sign(SampleReport.context())
        let first = self.report(context)
        let lost = await self.send(first, guest, driver, ending: .failure(Self.unconfirmed))
        #expect(lost.failure?.code == .brokerUnavailable)
        // Rejected: another message id, with the same outcome or another, and another outcome under the same id.
        for outcome in [first.outcome, self.failed] {
            let answer = await guest.answer(OutcomeReport(context: context, outcome: outcome))
            #expect(answer.failure?.code == .notPermitted && answer.failure?.field == "params.context.token")
            #expect(answer.failure?.message.contains("may have it") == true)
        }
        let other = OutcomeReport(context: context, outcome: self.failed, messageID: first.messageID)
        #expect(await guest.answer(other).failure?.field == "params.message_id")
        // It stays bound although the second attempt certainly did not arrive: the first one may have.
        _ = await self.send(first, guest, driver, ending: .failure(Self.unsent))
        #expect(await guest.answer(self.report(context)).failure?.code == .notPermitted)
        #expect(
            await self.send(first, guest, driver, ending: .success(()))
                == .success(.accepted(first.messageID, .published)))
        #expect(await guest.answer(first) == .success(.accepted(first.messageID, .duplicate)))
        #expect(await guest.answer(self.report(context)).failure?.code == .notPermitted)
        #expect(guest.relay.counters.isBalanced && guest.relay.counters.inFlight == 0)
    }

    /// A broker that does not accept a message of this size has nothing of it: a guest may send a shorter outcome.
    @Test("An outcome that is too large does not bind its operation")
    func tooLargeOutcome() async throws {
        let driver = HeldDriver()
        let guest = try SignedGuest(driver)
        let context = try guest.signer.sign(SampleReport.context())
        let first = self.report(context)
        let large = DriverError(.tooLarge, driver: "held", reason: "large", limitBytes: 9)
        #expect(await self.send(first, guest, driver, ending: .failure(large)).failure?.code == .tooLarge)
        let shorter = OutcomeReport(context: context, outcome: self.failed, messageID: first.messageID)
        #expect(
            await self.send(shorter, guest, driver, ending: .success(()))
                == .success(.accepted(first.messageID, .published)))
    }

    /// Of two drivers the first accepts what is too large for the second: it is published, and no other outcome may
    /// follow.
    @Test("An outcome that one of two drivers accepted binds its operation")
    func boundByOneDriver() async throws {
        let (taker, refuser) = (TestDriver(), HeldDriver())
        let guest = try SignedGuest([taker, refuser])
        let context = try guest.signer.sign(SampleReport.context())
        let large = DriverError(.tooLarge, driver: "held", reason: "large", limitBytes: 9)
        let answer = await self.send(self.report(context), guest, refuser, ending: .failure(large))
        #expect(answer.failure?.code == .tooLarge)
        #expect(await guest.answer(self.report(context)).failure?.code == .notPermitted)
        #expect(taker.notifications.count == 1)
    }

    /// The guest has not received the answer, and sends the outcome again after the token's end.
    @Test(
        "A repeat of an outcome that was published in time is a duplicate after the token's end", arguments: [0, 100])
    func repeatAfterExpiry(rememberedIDs: Int) async throws {
        let driver = TestDriver()
        let guest = try SignedGuest(driver, rememberedIDs: rememberedIDs) { configuration in
            (configuration.clockSkew, configuration.grace) = (0, 0)
        }
        // A token's times are whole seconds since 1970.
        let now = Double(NotificationTimestamp.now().microsecondsSinceEpoch) / 1e6
        func context(expires: Double) throws -> NotificationContext {
            var context = SampleReport.context()
            var claims = ContextClaims(context, instanceID: nil, issuedAt: Int(now) - 100, lifetime: 100)
            (claims.identifier, claims.expiresAt) = ("one", expires.rounded(.down))
            context.token = CompactJWS.sign(JSONWriter.encode(.object(claims.json)), with: try SignedGuest.key("now"))
            return context
        }
        let first = self.report(try context(expires: now + 100))
        #expect(await guest.answer(first) == .success(.accepted(first.messageID, .published)))
        // The control plane signed the operation twice; this one has expired.
        let late = try context(expires: now - 10)
        let again = self.report(late, first.messageID)
        #expect(await guest.answer(again) == .success(.accepted(first.messageID, .duplicate)))
        let otherWords = OutcomeReport(context: late, outcome: self.failed, messageID: first.messageID)
        #expect(await guest.answer(otherWords).failure?.field == "params.message_id")
        #expect(await guest.answer(self.report(late)).failure?.message.contains("was used") == true)
        var fresh = ContextClaims(
            SampleReport.context(), instanceID: nil, issuedAt: Int(now) - 100, lifetime: 90)
        fresh.identifier = "another"
        var unheard = SampleReport.context()
        unheard.token = CompactJWS.sign(JSONWriter.encode(.object(fresh.json)), with: try SignedGuest.key("now"))
        #expect(await guest.answer(self.report(unheard)).failure?.message.contains("has expired") == true)
        #expect(driver.notifications.count == 1)
        #expect(guest.relay.counters.isBalanced && guest.relay.counters.inFlight == 0)
    }

    @Test("An outcome whose event is switched off does not end its operation")
    func disabledEvent() async throws {
        let driver = TestDriver()
        let quiet = try Catalogues([.dbaas], switchedOff: ["dbaas.database_create.end"])
        let guest = try SignedGuest(driver, catalogues: quiet)
        let context = try guest.signer.sign(SampleReport.context())
        let end = self.report(context)
        #expect(await guest.answer(end) == .success(.accepted(end.messageID, .disabled)))
        let error = OutcomeReport(context: context, outcome: self.failed)
        #expect(await guest.answer(error) == .success(.accepted(error.messageID, .published)))
    }

    /// A control plane that signs an operation twice uses the same identifier.
    @Test("Tokens with the same identifier and request are one operation")
    func operationIdentifier() async throws {
        let driver = TestDriver()
        let guest = try SignedGuest(driver)
        func context(_ identifier: String?, _ request: String = "req-1") throws -> NotificationContext {
            var context = SampleReport.context()
            context.requestID = request
            var claims = ContextClaims(
                context, instanceID: nil, issuedAt: Int(NotificationTimestamp.now().microsecondsSinceEpoch / 1_000_000),
                lifetime: Int.random(in: 60...3600))
            claims.identifier = identifier
            context.token = CompactJWS.sign(JSONWriter.encode(.object(claims.json)), with: try SignedGuest.key("now"))
            return context
        }
        let token = try context(nil)
        for (context, isTaken) in [
            (try context("1"), true), (try context("1"), false), (try context("2"), true),
            // A signer that counts, and restarts.
            (try context("1", "req-2"), true), (token, true), (token, false),
        ] {
            let report = self.report(context)
            let answer = await guest.answer(report)
            #expect((answer == .success(.accepted(report.messageID, .published))) == isTaken)
            if !isTaken { #expect(answer.failure?.code == .notPermitted) }
        }
    }

    @Test("The oldest operation is forgotten first")
    func evictionOrder() async throws {
        let guest = try SignedGuest(TestDriver()) { $0.rememberedOperations = 2 }
        let contexts = try (0..<3).map { _ in try guest.signer.sign(SampleReport.context()) }
        for context in contexts { #expect(await guest.answer(self.report(context)).failure == nil) }
        for (context, isKnown) in zip(contexts.reversed(), [true, true, false]) {
            #expect((await guest.answer(self.report(context)).failure != nil) == isKnown)
        }
    }

    /// The cost of a memory that is too small is counted; an operation whose token can no longer be used is not.
    @Test("An operation that is forgotten while its token is usable is counted")
    func earlyForgetting() {
        var ledger = RelayLedgerStateMachine<Int>(rememberedIDs: 0, rememberedOperations: 2)
        let guest = PeerIdentity(names: ["inst-1"])
        func end(_ number: UInt8, usableUntil: Int64, now: Int64) {
            let operation = SignedOperation(
                SignedOperationID(Array(repeating: number, count: 32)), usableUntil: usableUntil)
            let key = OutcomeKey(MessageID(), from: guest)
            #expect(ledger.admit(key, content: 0, operation: operation, waiter: 0) == .new)
            _ = ledger.finish(key, .confirmed, operation: operation, now: now)
        }
        for number in 1...3 as ClosedRange<UInt8> { end(number, usableUntil: 100, now: 100) }
        #expect(ledger.counters.forgottenOperations == 0)
        for number in 4...6 as ClosedRange<UInt8> { end(number, usableUntil: 200, now: 100) }
        // The last one took the place of the fourth.
        #expect(ledger.counters.forgottenOperations == 1)
    }

    /// Compares the ledger with a simple model, with few operations and outcomes, so that they interact.
    @Test("The ledger ends no operation twice", arguments: 1...4 as ClosedRange<UInt64>)
    func ledgerAgainstModel(seed: UInt64) {
        var generator = Seeded(seed)
        let peer = SignedGuest.certificate
        var ledger = RelayLedgerStateMachine<Int>(
            rememberedIDs: seed.isMultiple(of: 2) ? 0 : 1000, rememberedOperations: 1000)
        let operations = (0..<4).map {
            SignedOperation(SignedOperationID(Array(repeating: UInt8($0), count: 32)), usableUntil: .max)
        }
        let keys = (0..<8).map { _ in OutcomeKey(MessageID(), from: PeerIdentity(peer)) }
        var inFlight: [(OutcomeKey, SignedOperation)] = []
        var ended: [SignedOperation: OutcomeKey] = [:]
        // Operations whose outcome failed, but may have arrived.
        var bound: [SignedOperation: OutcomeKey] = [:]
        for _ in 0..<4000 {
            // An outcome is always of one operation, as an honest guest's is.
            let number = Int.random(in: keys.indices, using: &generator)
            let (key, operation) = (keys[number], operations[number % operations.count])
            if generator.chance(50) || inFlight.isEmpty {
                let status = ledger.admit(key, content: UInt64(number), operation: operation, waiter: 0)
                switch (status, ended[operation]) {
                case (.new, nil), (.unconfirmed, nil):
                    #expect(bound[operation] == (status == .new ? nil : key))
                    #expect(!inFlight.contains { $0.1 == operation })
                    inFlight.append((key, operation))
                case (.inFlight, nil): #expect(inFlight.contains { $0.0 == key })
                case (.otherUnconfirmed, nil): #expect(bound[operation] != key && bound[operation] != nil)
                case (.otherInFlight, nil): #expect(inFlight.contains { $0.1 == operation })
                case (.confirmed, let other?): #expect(other == key)
                case (.otherConfirmed, let other?): #expect(other != key)
                default: Issue.record("\(status) though it was \(ended[operation] == nil ? "not " : "")ended")
                }
            } else {
                let index = Int.random(in: inFlight.indices, using: &generator)
                let (key, operation) = inFlight.remove(at: index)
                let (isConfirmed, mayHaveArrived) = (generator.chance(20), generator.chance(50))
                let failure =
                    mayHaveArrived
                    ? PublishResult.unconfirmed(.brokerUnavailable) : .unsent(.brokerUnavailable)
                _ = ledger.finish(key, isConfirmed ? .confirmed : failure, operation: operation)
                if isConfirmed { ended[operation] = key } else if mayHaveArrived { bound[operation] = key }
            }
            #expect(ledger.counters.isBalanced)
            if ended.count == operations.count, inFlight.isEmpty, generator.chance(5) { break }
        }
        #expect(!ended.isEmpty)
    }
}
