// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import FaultPoints
import GuestSpool
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Notifications

/// Delivers outcomes over one connection. It collects the answers of this connection only, and ignores those that
/// arrive after it has ended.
final class ConnectionDelivery {
    private struct Answer: Sendable {
        var phase: OperationPhase
        var sequence: Int64
        var messageID: MessageID
        var result: Result<RPCReply, RPCCallError>
    }

    private let connection: ConductorConnection
    private let guestChanges: Int
    private let loop: DeliveryLoop
    private let answers = NIOLockedValueBox<[Answer]>([])
    private let isLost = NIOLockedValueBox(false)
    private var isReadFailing = false
    /// Whether anything was delivered over this connection.
    private(set) var hasDelivered = false

    /// - Parameter guestChanges: how many times the certificate had changed to another guest's before this connection
    ///   was made.
    init(connection: ConductorConnection, guestChanges: Int, loop: DeliveryLoop) {
        self.connection = connection
        self.guestChanges = guestChanges
        self.loop = loop
    }

    /// Delivers until the connection ends, another conductor must be tried, or the agent stops and everything is
    /// delivered.
    ///
    /// - Throws: only `CancellationError`.
    func run(_ lanes: inout DeliveryLanesStateMachine) async throws -> DeliveryLoop.ConnectionEnd {
        self.connection.closeFuture.whenComplete { [isLost, wakeSignal = self.loop.wakeSignal] _ in
            isLost.withLockedValue { $0 = true }
            wakeSignal.signal()
        }
        while true {
            try Task.checkCancellation()
            let end = self.processAnswers(&lanes)
            switch end {
            case .rejected?, .mismatchedAnswer?: if let end { return end }
            default: break
            }
            if self.isLost.withLockedValue({ $0 }) { return .lost }
            if let end { return end }
            try await self.read(&lanes)
            // The entries just read may belong to the other guest.
            if self.loop.guestChanges != self.guestChanges { return .guestChanged }
            let outcomes = lanes.takeDueOutcomes(now: .now)
            for outcome in outcomes { self.send(outcome.entry, outcome.phase) }
            if Sabotage.deleteBeforeAnswer.isOn { self.loop.recorder.scheduleRemoval(outcomes.map(\.entry.sequence)) }
            // An outcome that arrived during the read may be missing from its result.
            if self.loop.isStopping, !self.loop.hasArrivals, lanes.isIdle, self.loop.recorder.isEmpty {
                return .drained
            }
            await self.loop.wakeSignal.wait(until: lanes.nextDeadline(now: .now))
        }
    }

    /// Passes the answers that have arrived to the lanes, and their results to the recorder.
    ///
    /// - Returns: why the connection must end; nil to continue with it.
    @discardableResult
    func processAnswers(_ lanes: inout DeliveryLanesStateMachine) -> DeliveryLoop.ConnectionEnd? {
        let answers = self.answers.withLockedValue { answers in
            defer { answers = [] }
            return answers
        }
        var delivered: [Int64] = []
        var end: DeliveryLoop.ConnectionEnd?
        for answer in answers {
            if let mismatch = answer.result.mismatch(for: answer.messageID) {
                end = end ?? .mismatchedAnswer(mismatch)
                _ = lanes.recordAnswer(answer.phase, answer.sequence, .failure(.connectionLost(mismatch)), now: .now)
                continue
            }
            switch lanes.recordAnswer(answer.phase, answer.sequence, answer.result, now: .now) {
            case .remove(let sequence):
                self.loop.deliveryProblem = nil
                delivered.append(sequence)
            case .setAside(let sequence, let reason):
                self.loop.logger.error(
                    "Set aside an outcome that was permanently rejected", metadata: ["reason": "\(reason)"])
                self.loop.recorder.scheduleSetAside(sequence, reason: reason)
            case .retry:
                self.loop.logger.debug(
                    "Failed to deliver an outcome; retrying", metadata: ["error": "\(answer.result.failureDescription)"]
                )
            case .failover:
                self.loop.deliveryProblem =
                    "a conductor cannot publish at the moment (\(answer.result.failureDescription))"
                self.loop.logger.warning(
                    "Conductor failed to publish; retrying",
                    metadata: ["error": "\(answer.result.failureDescription)", "phase": "\(answer.phase)"])
                if self.loop.hasOtherConductors { end = end ?? .failover }
            case .disconnect(let reason, let requestedPause): end = .rejected(reason, requestedPause: requestedPause)
            case .ignore: break
            }
        }
        if !delivered.isEmpty { self.hasDelivered = true }
        self.loop.recorder.scheduleRemoval(delivered)
        return end
    }

    private func read(_ lanes: inout DeliveryLanesStateMachine) async throws {
        lanes.recordArrivals(self.loop.takeArrivals())
        for reading in lanes.takeDueReads(now: .now, isSuspended: !self.loop.recorder.isBelowLimit) {
            do {
                let entries = try await self.loop.outbox.entries(
                    reading.phase, after: reading.cursor, limit: reading.limit)
                lanes.recordRead(reading, entries)
                self.isReadFailing = false
            } catch {
                try Task.checkCancellation()
                self.loop.logger.log(
                    level: self.isReadFailing ? .debug : .error,
                    "Failed to read the outbox; retrying",
                    metadata: ["error": "\(error)"])
                self.isReadFailing = true
                lanes.recordReadFailure(now: .now)
                return
            }
        }
    }

    private func send(_ entry: OutboxEntry, _ phase: OperationPhase) {
        defer { FaultPoint.agentAfterSend.reached() }
        self.connection.call(.notify(entry.report)) { [answers, wakeSignal = self.loop.wakeSignal] result in
            let isFirst = answers.withLockedValue { answers in
                answers.append(
                    Answer(
                        phase: phase, sequence: entry.sequence, messageID: entry.report.messageID, result: result))
                return answers.count == 1
            }
            if isFirst { wakeSignal.signal() }
        }
    }
}

extension Result where Success == RPCReply, Failure == RPCCallError {
    /// Returns why this result is not a valid answer for the outcome; nil when it is valid. A success must name the
    /// outcome's message id, and only such a success removes the outcome.
    func mismatch(for messageID: MessageID) -> String? {
        switch self {
        case .failure: nil
        case .success(.accepted(messageID, _)): nil
        case .success(.accepted(let other, _)): "the answer names outcome \(other), but outcome \(messageID) was sent"
        case .success(.pong): "the answer to an outcome is the answer to a ping"
        }
    }
}

extension Result where Failure == RPCCallError {
    fileprivate var failureDescription: String {
        if case .failure(let error) = self { return error.description }
        return ""
    }
}
