import ConductorRPC
import GuestSpool
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import TLSSocket

/// Carries outcomes from the outbox to a conductor: pipelines, reconnects, and tries the conductors in turn.
final class DeliveryLoop: Sendable {
    private enum ConnectionEnd {
        /// All that was finished is delivered, and the agent stops.
        case drained
        case lost
        case changeConductor
    }

    private struct Answer: Sendable {
        var sequence: Int64
        var result: Result<RPCReply, RPCCallError>
    }

    private let configuration: GuestAgent.Configuration
    private let tls: TLSContext
    private let outbox: any Outbox
    private let logger: Logger
    private let group: any EventLoopGroup
    private let wakeUp = Signal()
    private let answers = NIOLockedValueBox<[Answer]>([])
    private let isStopping = NIOLockedValueBox(false)

    init(configuration: GuestAgent.Configuration, tls: TLSContext, outbox: any Outbox, logger: Logger) {
        self.configuration = configuration
        self.tls = tls
        self.outbox = outbox
        self.logger = logger
        self.group = MultiThreadedEventLoopGroup.singleton
    }

    /// There is a new outcome in the outbox.
    func outcomeArrived() { self.wakeUp.signal() }

    /// The loop ends once the outbox is empty.
    func stop() {
        self.isStopping.withLockedValue { $0 = true }
        self.wakeUp.signal()
    }

    /// Delivers until the task is cancelled, or the outbox is empty after ``stop()``.
    func run() async throws {
        let backoff = Backoff(
            minimum: self.configuration.minimumBackoff, maximum: self.configuration.maximumBackoff)
        var machine = DeliveryStateMachine(window: self.configuration.window, backoff: backoff)
        var connectBackoff = backoff
        var turn = 0
        var failures = 0
        while !Task.isCancelled {
            // The connection is made and kept before there is anything to send, so that the first outcome need not wait.
            let address = self.configuration.conductors[turn % self.configuration.conductors.count]
            do {
                guard let connection = try await self.connectUnlessDrained(to: address, machine) else { return }
                failures = 0
                self.logger.info("Connected to a conductor", metadata: ["conductor": "\(address)"])
                var isUseful = false
                let end = try await self.use(connection, &machine, backoff, onDelivery: { isUseful = true })
                switch end {
                case .drained: return
                case .lost:
                    self.logger.info("The connection ended", metadata: ["conductor": "\(address)"])
                    // A conductor that takes connections and nothing else is as good as down.
                    if !isUseful { turn += 1 }
                case .changeConductor:
                    turn += 1
                    machine.conductorChanged()
                }
                if isUseful { connectBackoff.reset() }
            } catch let error as CancellationError {
                throw error
            } catch {
                self.logger.log(
                    level: failures == 0 ? .warning : .debug, "No connection to a conductor; the next one is tried",
                    metadata: ["conductor": "\(address)", "error": "\(error)", "setting": "conductors"])
                failures += 1
                turn += 1
            }
            // A round through all conductors is one attempt.
            if failures == 0 || failures % self.configuration.conductors.count == 0 {
                await self.pause(until: .now + connectBackoff.next())
            }
        }
    }

    /// Connects; or returns nil as soon as the agent stops with nothing to deliver. A conductor that takes connections
    /// and never speaks must not hold up the end of a guest that has nothing to tell it.
    private func connectUnlessDrained(
        to address: ConductorAddress, _ machine: DeliveryStateMachine
    ) async throws -> ConductorConnection? {
        try await withThrowingTaskGroup(of: ConductorConnection?.self) { group in
            group.addTask {
                while !Task.isCancelled {
                    if self.isStopping.withLockedValue({ $0 }), try await self.isDrained(machine) { return nil }
                    await self.wakeUp.wait()
                }
                throw CancellationError()
            }
            group.addTask { try await self.connect(to: address) }
            let first = try await group.next() ?? nil
            group.cancelAll()
            // Should both have ended at once, nobody else would close the connection.
            while let second = await group.nextResult() {
                if case .success(let connection?) = second { connection.beginClosing() }
            }
            return first
        }
    }

    private func connect(to address: ConductorAddress) async throws -> ConductorConnection {
        var configuration = ConductorConnection.Configuration()
        configuration.answerTimeout = .nanoseconds(self.configuration.answerTimeout.nanoseconds)
        configuration.connectTimeout = .nanoseconds(self.configuration.connectTimeout.nanoseconds)
        configuration.maximumLineLength = self.configuration.maximumLineLength
        return try await ConductorConnection.connect(
            host: address.host, port: address.port, tls: self.tls, group: self.group, configuration: configuration)
    }

    /// Delivers over the connection, and closes it whatever happens.
    private func use(
        _ connection: ConductorConnection, _ machine: inout DeliveryStateMachine, _ backoff: Backoff,
        onDelivery: () -> Void
    ) async throws -> ConnectionEnd {
        do {
            let end = try await self.deliver(over: connection, &machine, onDelivery: onDelivery)
            await connection.close()
            return end
        } catch let error as CancellationError {
            // The time is up: nobody waits for the conductor's good-bye.
            connection.beginClosing()
            throw error
        } catch {
            self.logger.error(
                "The outbox failed; what waits in it is read and sent again", metadata: ["error": "\(error)"])
            await connection.close()
            // Answers may have been lost between here and the outbox. Sent again, they are answered again.
            self.answers.withLockedValue { $0 = [] }
            machine = DeliveryStateMachine(window: self.configuration.window, backoff: backoff)
            return .lost
        }
    }

    private func isDrained(_ machine: DeliveryStateMachine) async throws -> Bool {
        guard machine.isIdle else { return false }
        return try await self.outbox.entries(after: machine.cursor, limit: 1).isEmpty
    }

    /// Waits for a moment; a stop and a cancellation end the wait, new outcomes do not.
    private func pause(until end: ContinuousClock.Instant) async {
        let stoppedBefore = self.isStopping.withLockedValue { $0 }
        while !Task.isCancelled, .now < end, stoppedBefore == self.isStopping.withLockedValue({ $0 }) {
            await self.wait(until: end)
        }
    }

    private func wait(until end: ContinuousClock.Instant?) async {
        let timer = end.map { end in
            let delay = max(.zero, end - .now)
            return self.group.next().scheduleTask(in: .nanoseconds(delay.nanoseconds)) { self.wakeUp.signal() }
        }
        await self.wakeUp.wait()
        timer?.cancel()
    }

    private func deliver(
        over connection: ConductorConnection, _ machine: inout DeliveryStateMachine, onDelivery: () -> Void
    ) async throws -> ConnectionEnd {
        let isLost = NIOLockedValueBox(false)
        connection.closeFuture.whenComplete { [wakeUp] _ in
            isLost.withLockedValue { $0 = true }
            wakeUp.signal()
        }
        while true {
            try Task.checkCancellation()
            let end = try await self.settleAnswers(&machine, onDelivery)
            if isLost.withLockedValue({ $0 }) {
                // The calls of a lost connection were all answered before it counted as lost.
                _ = try await self.settleAnswers(&machine, onDelivery)
                return .lost
            }
            if let end { return end }
            if machine.room > 0 {
                machine.read(try await self.outbox.entries(after: machine.cursor, limit: machine.room))
            }
            for entry in machine.takeToSend(now: .now) { self.send(entry, over: connection) }
            if machine.isIdle, self.isStopping.withLockedValue({ $0 }), try await self.isDrained(machine) {
                return .drained
            }
            await self.wait(until: machine.pauseEnd)
        }
    }

    private func send(_ entry: OutboxEntry, over connection: ConductorConnection) {
        connection.call(.notify(entry.report)) { result in
            let isFirst = self.answers.withLockedValue { answers in
                answers.append(Answer(sequence: entry.sequence, result: result))
                return answers.count == 1
            }
            if isFirst { self.wakeUp.signal() }
        }
    }

    private func settleAnswers(
        _ machine: inout DeliveryStateMachine, _ onDelivery: () -> Void
    ) async throws -> ConnectionEnd? {
        let answers = self.answers.withLockedValue { answers in
            defer { answers = [] }
            return answers
        }
        guard !answers.isEmpty else { return nil }
        var delivered: [Int64] = []
        var end: ConnectionEnd?
        for answer in answers {
            switch machine.answered(answer.sequence, answer.result, now: .now) {
            case .remove(let sequence):
                delivered.append(sequence)
                onDelivery()
            case .setAside(let sequence, let reason):
                self.logger.error(
                    "An outcome was refused for good and set aside", metadata: ["reason": "\(reason)"])
                try await self.outbox.setAside(sequence, reason: reason)
            case .retry:
                if case .failure(let error) = answer.result {
                    self.logger.debug("An outcome is sent again later", metadata: ["error": "\(error)"])
                }
            case .retryElsewhere:
                self.logger.warning(
                    "A conductor cannot publish at the moment",
                    metadata: ["error": "\(answer.result.failureDescription)"])
                if self.configuration.conductors.count > 1 { end = .changeConductor }
            case .ignore: break
            }
        }
        if !delivered.isEmpty { try await self.outbox.remove(delivered) }
        return end
    }
}

extension Result where Failure == RPCCallError {
    fileprivate var failureDescription: String {
        if case .failure(let error) = self { return error.description }
        return ""
    }
}

extension Duration {
    /// Whole nanoseconds, at most what 64 bits hold.
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = self.components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .max : product.addingReportingOverflow(attoseconds / 1_000_000_000).partialValue
    }
}
