// SPDX-License-Identifier: Apache-2.0

import FaultWorkload
import Notifications
import Testing

@Suite struct OracleTests {
    private let ending = PlannedOperation(guest: "alpha", number: 1)
    private let failing = PlannedOperation(guest: "alpha", number: 3)

    private func body(
        _ operation: PlannedOperation, _ outcome: OperationOutcome? = nil, messageID: MessageID = MessageID(),
        address: String = "192.0.2.1"
    ) throws -> [UInt8] {
        let planned =
            operation.fails
            ? OperationOutcome.error(PlannedFailure(operation).exceptionInfo, payload: [:])
            : .end(payload: [:])
        let definition = try #require(Catalogues.builtIn.operation("database_create"))
        let notification = try definition.notification(
            of: outcome ?? planned, context: operation.context,
            origin: NotificationOrigin(publisherID: "conductor.edge", serverType: "conductor", serverIP: address),
            messageID: messageID, timestamp: NotificationTimestamp("2026-11-21 12:00:00.000000") ?? .now())
        return Envelope.messagingv2.encode(notification.message)
    }

    private func observed(
        _ operation: PlannedOperation, _ outcome: OperationOutcome? = nil, messageID: MessageID = MessageID(),
        address: String = "192.0.2.1"
    ) throws -> ObservedNotification {
        let isError = operation.fails || outcome.map { if case .error = $0 { true } else { false } } == true
        return try ObservedNotification(
            body: try self.body(operation, outcome, messageID: messageID, address: address),
            queue: isError ? "notification.error" : "notification.info")
    }

    private let interruption = OperationOutcome.error(
        ExceptionInfo(etype: "OperationInterrupted", value: "The guest agent ended while the operation ran."),
        payload: [:])

    @Test("A run whose kept outcomes all arrive is flawless")
    func keptAndArrived() throws {
        var oracle = Oracle()
        for operation in [self.ending, self.failing] {
            oracle.said(operation, .open)
            oracle.said(operation, .kept)
            oracle.received(try self.observed(operation))
        }
        let findings = oracle.findings
        #expect(findings.isFlawless && findings.kept == 2 && findings.messages == 2 && findings.duplicates == 0)
    }

    @Test("A kept outcome that does not arrive is lost")
    func lostOutcome() {
        var oracle = Oracle()
        oracle.said(self.ending, .kept)
        #expect(oracle.findings.lost == [self.ending.requestID])
    }

    @Test("Repetitions with the same id and body are counted as duplicates")
    func duplicates() throws {
        var oracle = Oracle()
        let id = MessageID()
        oracle.said(self.ending, .kept)
        // _unique_id differs each time.
        for _ in 0..<3 { oracle.received(try self.observed(self.ending, messageID: id)) }
        #expect(oracle.findings.isFlawless && oracle.findings.duplicates == 2)
    }

    @Test("A repetition with another id is a fork")
    func otherID() throws {
        var oracle = Oracle()
        oracle.said(self.ending, .kept)
        for _ in 0..<2 { oracle.received(try self.observed(self.ending)) }
        #expect(oracle.findings.forked.count == 1)
    }

    @Test("A repetition with other bytes is a fork")
    func otherBytes() throws {
        var oracle = Oracle()
        let id = MessageID()
        oracle.said(self.ending, .kept)
        oracle.received(try self.observed(self.ending, messageID: id))
        oracle.received(try self.observed(self.ending, messageID: id, address: "192.0.2.2"))
        #expect(oracle.findings.forked.count == 1)
    }

    @Test("An end and an interruption of one operation are a fork")
    func endAndInterruption() throws {
        var oracle = Oracle()
        let id = MessageID()
        oracle.said(self.ending, .open)
        oracle.received(try self.observed(self.ending, messageID: id))
        oracle.received(try self.observed(self.ending, self.interruption, messageID: id))
        #expect(oracle.findings.forked.count == 1)
    }

    @Test("An interruption of an operation whose outcome was kept is an alteration")
    func interruptionOfKept() throws {
        var oracle = Oracle()
        oracle.said(self.ending, .kept)
        oracle.received(try self.observed(self.ending, self.interruption))
        #expect(oracle.findings.altered.count == 1)
    }

    @Test("An open operation may have any one outcome, or none", arguments: [nil, true, false])
    func openOperation(isInterrupted: Bool?) throws {
        var oracle = Oracle()
        oracle.said(self.ending, .open)
        if let isInterrupted {
            oracle.received(try self.observed(self.ending, isInterrupted ? self.interruption : nil))
        }
        #expect(oracle.findings.isFlawless)
    }

    @Test("An operation that ran must have an outcome or an interruption", arguments: [nil, true, false])
    func runningOperation(isInterrupted: Bool?) throws {
        var oracle = Oracle()
        oracle.said(self.ending, .open)
        oracle.said(self.ending, .running)
        if let isInterrupted {
            oracle.received(try self.observed(self.ending, isInterrupted ? self.interruption : nil))
        }
        #expect(oracle.findings.isFlawless == (isInterrupted != nil))
    }

    @Test("Notifications must match whether an operation was refused, not begun or not kept")
    func unkeptOperations() throws {
        for (state, outcome, isFlawless) in [
            (Oracle.OperationState.refused, nil, false), (.refused, self.interruption, false), (.notBegun, nil, false),
            (.notBegun, self.interruption, true), (.notKept, nil, true), (.notKept, self.interruption, true),
        ] {
            var oracle = Oracle()
            oracle.said(self.ending, state)
            oracle.received(try self.observed(self.ending, outcome))
            #expect(oracle.findings.isFlawless == isFlawless, "\(state) \(outcome as Any)")
        }
    }

    @Test("A message of an operation that no guest began is detected")
    func unknownOperation() throws {
        var oracle = Oracle()
        oracle.received(try self.observed(self.ending))
        #expect(oracle.findings.strangers == 1 && !oracle.findings.isFlawless)
    }

    @Test("Altered messages are detected")
    func alteredMessages() throws {
        let other = OperationOutcome.error(ExceptionInfo(etype: "Other", value: "x"), payload: [:])
        let good = try self.body(self.ending)
        let text = String(decoding: good, as: UTF8.self)
        let altered = [
            (text.replacing("db-alpha-1", with: "db-alpha-2"), "notification.info"),
            (text.replacing("tenant-alpha", with: "tenant-beta"), "notification.info"),
            (text, "notification.error"),
            (text.replacing("INFO", with: "ERROR"), "notification.info"),
            (text.replacing("database_create.end", with: "database_create.start"), "notification.info"),
            (String(text.dropLast(10)), "notification.info"),
            (String(decoding: try self.body(self.failing, other), as: UTF8.self), "notification.error"),
            (String(decoding: try self.body(self.failing, .end(payload: [:])), as: UTF8.self), "notification.info"),
        ]
        for (text, queue) in altered {
            #expect(throws: (any Error).self, "\(text)") {
                try ObservedNotification(body: Array(text.utf8), queue: queue)
            }
        }
        #expect(throws: Never.self) { try ObservedNotification(body: good, queue: "notification.info") }
    }
}
