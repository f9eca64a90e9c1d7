// SPDX-License-Identifier: Apache-2.0

internal import DriverErrors
internal import FaultPoints
internal import Logging
internal import NIOConcurrencyHelpers
import Timing

/// The loop of the publisher's thread: it connects, serves the connection, and reconnects.
///
/// It decides nothing about messages; ``PublisherStateMachine`` does.
final class PublisherLoop {
    typealias Machine = PublisherStateMachine<PublishCompletion>

    /// The maximum number of messages sent between two reads of the broker's socket. A read costs two system calls.
    private static let batch = 256
    /// The same limit in time: if the broker reads slowly, a batch of large messages can take longer than any deadline.
    private static let batchTime = Duration.milliseconds(100)

    private let configuration: PublisherConfiguration
    private let inbox: NIOLockedValueBox<PublisherInbox>
    private let wake: WakeUpEvent
    private let watchdog: Watchdog
    private var report: PublisherLog
    private var machine: Machine
    private var backoff: Backoff
    private var generator = SystemRandomNumberGenerator()
    private var outcomes: [Machine.Outcome] = []
    private var taken: [PublisherInbox.Item] = []
    private var released: [Machine.Release] = []
    /// Whether the broker closed the channel. The channel is reopened when all input before that has been handled.
    private var channelIsClosed = false
    private var declarationBackoff: Backoff

    init(
        configuration: PublisherConfiguration, logger: Logger, inbox: NIOLockedValueBox<PublisherInbox>,
        wake: WakeUpEvent,
        watchdog: Watchdog
    ) {
        self.configuration = configuration
        self.inbox = inbox
        self.wake = wake
        self.watchdog = watchdog
        self.report = PublisherLog(configuration: configuration, logger: logger)
        self.machine = Machine(
            window: configuration.window, byteWindow: configuration.windowBytes,
            senderWindow: min(
                configuration.senderWindowBytes, configuration.windowBytes / SenderQuotaStateMachine.parts))
        self.backoff = configuration.backoff
        self.declarationBackoff = configuration.backoff
    }

    private var stop: PublisherInbox.Stop? { self.inbox.withLockedValue { $0.stop } }

    /// Runs the loop. Returns when a stop was requested and every outstanding message has been answered.
    func run() {
        self.rejectNewMessages(DriverError(.notConnected, "the publisher has not connected to RabbitMQ yet"))
        let hosts = self.configuration.transportURL.hosts
        // Starts at a random host, as oslo does, so that many publishers spread over the brokers of a cluster.
        var index = Int.random(in: hosts.indices, using: &self.generator)
        var failuresInARow = 0
        while self.stop == nil {
            let host = hosts[index]
            index = (index + 1) % hosts.count
            do {
                let connection = try BrokerConnection.open(
                    host, configuration: self.configuration, watchdog: self.watchdog)
                self.serve(connection)
                failuresInARow = 0
            } catch {
                self.report.connectFailed(host, error)
                self.rejectNewMessages(
                    DriverError(.notConnected, "there is no connection to RabbitMQ at \(host.address): \(error)"))
                failuresInARow += 1
                if failuresInARow < hosts.count { continue }
                failuresInARow = 0
            }
            guard self.stop == nil else { break }
            self.wake.wait(timeout: self.backoff.next(using: &self.generator))
        }
        self.rejectNewMessages(.shuttingDown)
        self.outcomes += self.machine.publisherStopped(now: .now)
        self.takeInbox()
        self.callCompletions()
    }

    // MARK: One connection

    private func serve(_ connection: BrokerConnection) {
        let began = ContinuousClock.now
        self.channelIsClosed = false
        self.machine.connected()
        do {
            try self.declareAtStart(connection)
            self.inbox.withLockedValue {
                $0.rejection = nil
                $0.sizeLimit = nil
                $0.status.host = connection.host.address
                $0.status.connections += 1
            }
            self.report.connected(connection.host)
            while try self.runIteration(connection) {}
            self.rejectNewMessages(.shuttingDown)
            // A broker that has an alarm, or has not confirmed all messages, would delay its answer to a close as well.
            let closesCleanly = self.machine.blockedReason == nil && self.machine.unconfirmedCount == 0
            self.outcomes += self.machine.publisherStopped(now: .now)
            self.takeInbox()
            self.callCompletions()
            if closesCleanly { connection.close() }
            self.report.closed(connection.host)
        } catch {
            let lost = DriverError(
                .connectionLost, "the connection to RabbitMQ at \(connection.host.address) was lost: \(error)")
            // In this order: first new messages are rejected, then every message that had arrived is answered.
            self.rejectNewMessages(self.stop == nil ? lost.asNotConnected : .shuttingDown)
            self.report.lost(connection.host, error)
            self.outcomes += self.machine.connectionLost(lost, now: .now)
            self.takeInbox()
        }
        if self.machine.confirmedCount > 0 || ContinuousClock.now - began > self.configuration.backoff.maximum {
            self.backoff.reset()
        }
        self.callCompletions()
    }

    private func declareAtStart(_ connection: BrokerConnection) throws(BrokerError) {
        for queue in self.configuration.declareAtStart {
            try self.declare(queue, connection)
        }
    }

    /// Reads, publishes, answers, sleeps. Returns false when the connection is no longer needed.
    private func runIteration(_ connection: BrokerConnection) throws(BrokerError) -> Bool {
        // Before reading: no input that had arrived confirmed a message that is overdue at this time. With a later
        // time, the duration of our own sending, while confirms stay unread, would count as silence of the broker.
        let now = ContinuousClock.now
        try self.read(connection)
        self.takeInbox()
        let isIdle = try self.publishBatch(connection)
        if let stop = self.stop {
            self.inbox.withLockedValue { $0.rejection = DriverError.shuttingDown.asUnsent }
            self.machine.shutdown(until: stop == .draining ? now + self.configuration.drainTimeout : now)
            if stop == .immediately { return false }
        }
        let (action, expired) = self.machine.tick(now: now)
        self.outcomes += expired
        self.callCompletions()
        switch action {
        case .none: break
        case .close: return false
        case .dropConnection:
            let seconds = self.configuration.publishTimeout.wholeMilliseconds / 1000
            throw BrokerError("the broker did not confirm a message within \(seconds) seconds")
        }
        if isIdle, !connection.hasBufferedInput {
            self.wake.wait(alsoFor: connection.descriptor, timeout: self.timeUntilNextDeadline(.now, connection))
        }
        return true
    }

    /// Returns how long the loop may sleep. The library sends heartbeats only inside its calls, so the loop makes a
    /// call at least twice per heartbeat interval.
    private func timeUntilNextDeadline(_ now: ContinuousClock.Instant, _ connection: BrokerConnection) -> Duration {
        let seconds = connection.heartbeatSeconds
        let heartbeat: Duration = seconds > 0 ? .milliseconds(seconds * 500) : .seconds(60)
        guard let deadline = self.machine.nextDeadline else { return heartbeat }
        return max(.zero, min(heartbeat, deadline - now))
    }

    private func read(_ connection: BrokerConnection) throws(BrokerError) {
        var protocolError = false
        try connection.drain { event in
            switch event {
            case .confirmed(let tag, let multiple, let positively):
                if let completed = self.machine.acknowledged(tag: tag, multiple: multiple, positively: positively) {
                    self.outcomes += completed
                } else {
                    protocolError = true
                }
            case .returned(let queue, let body, let reason):
                if !self.machine.returned(queue: queue, body: body, reason: reason) { protocolError = true }
                self.report.returned(queue, reason)
                connection.isExchangeDeclared = false
            case .blocked(let reason):
                self.outcomes += self.machine.blocked(reason)
                self.inbox.withLockedValue {
                    $0.rejection = .blocked(reason)
                    $0.status.blocked = true
                }
                self.report.blocked(connection.host, reason)
            case .unblocked:
                self.machine.unblocked()
                self.inbox.withLockedValue {
                    $0.rejection = $0.stop == nil ? nil : DriverError.shuttingDown.asUnsent
                    $0.status.blocked = false
                }
                self.report.unblocked(connection.host)
            case .channelClosed(let reply):
                self.channelClosed(reply)
            }
        }
        guard !protocolError else {
            throw BrokerError("the broker confirmed or returned a message that was never sent (protocol error)")
        }
        if self.channelIsClosed {
            self.channelIsClosed = false
            try connection.reopenPublishingChannel()
        }
    }

    private func channelClosed(_ reply: BrokerReply) {
        self.channelIsClosed = true
        let limit = reply.messageSizeLimit
        self.report.channelClosed(reply, sizeLimit: limit)
        let error = DriverError(
            .channelClosed, "the broker closed the channel before it confirmed the message: \(reply.code) \(reply.text)"
        )
        self.outcomes += self.machine.channelClosed(error, sizeLimit: limit, now: .now)
        if let limit { self.inbox.withLockedValue { $0.sizeLimit = limit } }
    }

    /// Sends waiting messages, up to a batch. Returns true when no more can be sent before another event.
    private func publishBatch(_ connection: BrokerConnection) throws(BrokerError) -> Bool {
        let isMany = self.machine.waitingCount > 1
        if isMany { connection.cork(true) }
        defer { if isMany { connection.cork(false) } }
        let now = ContinuousClock.now
        for _ in 0..<Self.batch {
            switch self.machine.next(now: now) {
            case .publish(let message):
                try connection.publish(message)
                FaultPoint.publisherMidBatch.reached()
                if ContinuousClock.now - now > Self.batchTime { return false }
            case .complete(let outcome):
                self.outcomes.append(outcome)
            case .declare(let queue):
                if isMany { connection.cork(false) }
                try self.declare(queue, connection)
                if isMany { connection.cork(true) }
            case .none:
                // Messages that have arrived meanwhile are sent in the next turn, before any sleep.
                return !self.takeInbox()
            }
        }
        return false
    }

    private func declare(_ queue: String, _ connection: BrokerConnection) throws(BrokerError) {
        switch try connection.declare(queue) {
        case .ready(let mismatches):
            for mismatch in mismatches { self.report.mismatch(mismatch) }
            self.report.declared(queue)
            self.machine.declared(queue)
            self.declarationBackoff.reset()
        case .rejected(let reply):
            let delay = self.declarationBackoff.next(using: &self.generator)
            let error = self.report.declarationRejected(queue, reply, user: connection.host.user)
            self.machine.declarationRejected(queue, error: error, until: .now + delay)
        }
    }

    // MARK: Senders

    private func rejectNewMessages(_ error: DriverError) {
        self.inbox.withLockedValue {
            $0.rejection = error.asUnsent
            $0.status.host = nil
            $0.status.blocked = false
        }
    }

    /// Takes the messages of the inbox, if they could be sent or must be rejected. Returns true when there were any.
    @discardableResult
    private func takeInbox() -> Bool {
        self.machine.takeReleased(into: &self.released)
        self.inbox.withLockedValue {
            $0.release(self.released)
            $0.take(
                if: self.machine.wantsMessages, stillWaiting: self.machine.waitingCount,
                bytes: self.machine.waitingBytes,
                into: &self.taken)
            $0.status.unconfirmed = self.machine.unconfirmedCount
        }
        self.released.removeAll(keepingCapacity: true)
        guard !self.taken.isEmpty else { return false }
        self.outcomes += self.machine.enqueue(self.taken)
        self.taken.removeAll(keepingCapacity: true)
        return true
    }

    /// Answers senders, which may publish again from within their completions.
    private func callCompletions() {
        guard !self.outcomes.isEmpty else { return }
        // A sender that publishes again when it is answered must find its quota up to date.
        self.machine.takeReleased(into: &self.released)
        if !self.released.isEmpty {
            self.inbox.withLockedValue { $0.release(self.released) }
            self.released.removeAll(keepingCapacity: true)
        }
        var outcomes: [Machine.Outcome] = []
        swap(&outcomes, &self.outcomes)
        for outcome in outcomes { outcome.completion(outcome.result) }
        if self.outcomes.isEmpty {
            // Reuses the storage, so that a steady flow of messages allocates none.
            outcomes.removeAll(keepingCapacity: true)
            swap(&outcomes, &self.outcomes)
        }
    }
}
