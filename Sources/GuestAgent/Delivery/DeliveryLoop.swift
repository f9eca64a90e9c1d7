// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import GuestSpool
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Notifications
import TLSChannel
import Timing

/// Delivers outcomes from the outbox to a conductor: pipelines requests, reconnects, and fails over between conductors.
final class DeliveryLoop: Sendable {
    enum ConnectionEnd {
        /// Every finished outcome was delivered, and the agent stops.
        case drained
        case lost
        case failover
        /// The certificate names another guest from now on.
        case guestChanged
        /// The conductor rejects this guest, for this reason, and requests a pause of this length.
        case rejected(String, requestedPause: Duration)
        /// The conductor's answer does not match the request, for this reason. None of its answers can be trusted.
        case mismatchedAnswer(String)
    }

    private let configuration: GuestAgent.Configuration
    private let tls: LiveTLSContext
    let outbox: any Outbox
    let logger: Logger
    let recorder: OutcomeRecorder
    let wakeSignal: WakeSignal
    private let arrivals = NIOLockedValueBox(Set(DeliveryLanesStateMachine.phases))
    private let stops = NIOLockedValueBox(false)
    private let changes = NIOLockedValueBox(0)
    private let problem = NIOLockedValueBox<String?>(nil)
    private let acceptingConductor = NIOLockedValueBox<ConductorAddress?>(nil)

    init(configuration: GuestAgent.Configuration, tls: LiveTLSContext, outbox: any Outbox, logger: Logger) {
        self.configuration = configuration
        self.tls = tls
        self.outbox = outbox
        self.logger = logger
        let wakeSignal = WakeSignal()
        self.wakeSignal = wakeSignal
        self.recorder = OutcomeRecorder(
            outbox: outbox, backoff: configuration.backoff, logger: logger, onProgress: { wakeSignal.signal() })
    }

    /// Signals that the outbox has a new outcome of this phase.
    func signalArrival(_ phase: OperationPhase) {
        _ = self.arrivals.withLockedValue { $0.insert(phase) }
        self.wakeSignal.signal()
    }

    /// Makes the loop end once the outbox is empty.
    func stop() {
        // Read both lanes a last time, in case outcomes were added without a signal. This must be set before
        // `isStopping` can be observed.
        self.arrivals.withLockedValue { $0 = Set(DeliveryLanesStateMachine.phases) }
        self.stops.withLockedValue { $0 = true }
        self.wakeSignal.signal()
    }

    /// Whether there is another conductor to try.
    var hasOtherConductors: Bool { self.configuration.conductors.count > 1 }

    /// The reason why nothing is delivered at the moment, and if known where; nil when no problem is known.
    var deliveryProblem: String? {
        get { self.problem.withLockedValue { $0 } }
        set { self.problem.withLockedValue { $0 = newValue } }
    }

    /// The conductor that last accepted outcomes; nil before the first one did.
    var lastAcceptingConductor: ConductorAddress? { self.acceptingConductor.withLockedValue { $0 } }

    /// How many times the certificate has changed to another guest's.
    var guestChanges: Int { self.changes.withLockedValue { $0 } }

    /// Records that the certificate names another guest. Outcomes read before must not be sent with the new
    /// certificate, and outcomes read later must not be sent with the old one.
    func guestChanged() {
        self.changes.withLockedValue { $0 += 1 }
        self.arrivals.withLockedValue { $0 = Set(DeliveryLanesStateMachine.phases) }
        self.wakeSignal.signal()
    }

    /// Whether ``stop()`` was called.
    var isStopping: Bool { self.stops.withLockedValue { $0 } }

    /// Whether outcomes arrived since ``takeArrivals()``: a read that ran meanwhile may have missed them.
    var hasArrivals: Bool { self.arrivals.withLockedValue { !$0.isEmpty } }

    /// Returns the phases for which outcomes arrived since the last call.
    func takeArrivals() -> Set<OperationPhase> {
        self.arrivals.withLockedValue { arrivals in
            defer { arrivals = [] }
            return arrivals
        }
    }

    /// Delivers until the task is cancelled, or until the outbox is empty after ``stop()``.
    func run() async throws {
        // This child task is cancelled when delivery has ended.
        async let _: Void = self.recorder.run()
        try await self.deliver()
    }

    private func makeLanes() -> DeliveryLanesStateMachine {
        DeliveryLanesStateMachine(
            window: self.configuration.window, backoff: self.configuration.backoff,
            pollInterval: self.configuration.pollInterval, now: .now)
    }

    private func deliver() async throws {
        var lanes = self.makeLanes()
        var guestChanges = self.guestChanges
        var failover = FailoverStateMachine(
            count: self.configuration.conductors.count, backoff: self.configuration.backoff)
        var connectionsWithoutDelivery = 0
        var lastRejection: String?
        // An earlier run may have consumed the arrivals.
        self.arrivals.withLockedValue { $0 = Set(DeliveryLanesStateMachine.phases) }
        while !Task.isCancelled {
            // This comes before the attempt to connect, which may fail faster than the outbox can be read.
            let wasStopping = self.isStopping
            if wasStopping, await self.isDrained(lanes) { return }
            // The connection is opened, and kept open, before there is anything to send: the first outcome need not
            // wait for it.
            let address = self.configuration.conductors[failover.current]
            let next: ContinuousClock.Instant?
            if case let changes = self.guestChanges, changes != guestChanges {
                (lanes, guestChanges) = (self.makeLanes(), changes)
            }
            do {
                guard let connection = try await self.connectUnlessDrained(to: address, lanes) else { return }
                failover.recordConnected()
                self.deliveryProblem = nil
                self.logger.info("Connected to a conductor", metadata: ["conductor": "\(address)"])
                let (end, delivered) = try await self.use(connection, to: address, &lanes, guestChanges)
                var hasDelivered = delivered
                if hasDelivered { lastRejection = nil }
                var (wantsChange, requestedPause) = (true, connection.requestedPause)
                switch end {
                case .drained: return
                case .lost:
                    self.deliveryProblem = "the connection to \(address) ended (\(connection.closeReason))"
                    connectionsWithoutDelivery = hasDelivered ? 0 : connectionsWithoutDelivery + 1
                    // Warn at the first of several in a row, since its reason shows whether the conductor rejected this
                    // guest's certificate.
                    self.logger.log(
                        level: connectionsWithoutDelivery == 1 ? .warning : .info, "Connection ended",
                        metadata: ["conductor": "\(address)", "reason": "\(connection.closeReason)"])
                    wantsChange = false
                case .failover: lanes.recordConductorChange()
                case .guestChanged:
                    self.logger.notice(
                        "Closed the connection: the new certificate names another guest; reconnecting",
                        metadata: ["conductor": "\(address)"])
                    // Reconnect to the same conductor after the shortest delay.
                    (hasDelivered, wantsChange) = (true, false)
                case .mismatchedAnswer(let reason):
                    self.logger.error(
                        "Closed the connection: the answer does not match the outcome; retrying",
                        metadata: ["conductor": "\(address)", "reason": "\(reason)"])
                    lanes.recordConductorChange()
                case .rejected(let reason, let pause):
                    requestedPause = pause
                    self.deliveryProblem = "\(address) rejects this guest's certificate (\(reason))"
                    self.logger.log(
                        level: lastRejection == reason ? .info : .error,
                        "Conductor rejected this guest's certificate; outcomes wait",
                        metadata: [
                            "conductor": "\(address)", "reason": "\(reason)",
                            "remedy":
                                "change the certificate in tls.certificate, or the conductor's identity settings",
                        ])
                    lastRejection = reason
                    lanes.recordConductorChange()
                }
                next = failover.recordConnectionEnd(
                    hasDelivered: hasDelivered, wantsChange: wantsChange, requestedPause: requestedPause, now: .now)
            } catch let error as CancellationError {
                throw error
            } catch {
                self.deliveryProblem = "\(address) cannot be connected to (\(error))"
                self.logger.log(
                    level: failover.failures == 0 ? .warning : .debug,
                    "Failed to connect to a conductor; trying the next one",
                    metadata: ["conductor": "\(address)", "error": "\(error)", "setting": "conductors"])
                next = failover.recordConnectFailure(now: .now)
            }
            if let next { await self.pause(until: next, lanes, wasStopping: wasStopping) }
        }
    }

    /// Connects, or returns nil as soon as the agent stops and nothing is left to deliver. A conductor that accepts
    /// connections and never answers must not delay the exit of a guest that has nothing to report.
    private func connectUnlessDrained(
        to address: ConductorAddress, _ lanes: DeliveryLanesStateMachine
    ) async throws -> ConductorConnection? {
        try await withThrowingTaskGroup(of: ConductorConnection?.self) { group in
            group.addTask {
                while !Task.isCancelled {
                    if self.isStopping, await self.isDrained(lanes) { return nil }
                    await self.wakeSignal.wait()
                }
                throw CancellationError()
            }
            group.addTask { try await self.connect(to: address) }
            let first = try await group.next() ?? nil
            group.cancelAll()
            // If both tasks ended at the same time, the second connection must be closed here.
            while let second = await group.nextResult() {
                if case .success(let connection?) = second { connection.beginClosing() }
            }
            return first
        }
    }

    private func connect(to address: ConductorAddress) async throws -> ConductorConnection {
        var configuration = ConductorConnection.Configuration()
        configuration.answerTimeout = TimeAmount(self.configuration.answerTimeout)
        configuration.connectTimeout = TimeAmount(self.configuration.connectTimeout)
        configuration.maximumLineLength = self.configuration.maximumLineLength
        return try await ConductorConnection.connect(
            host: address.host, port: address.port, tls: self.tls, group: MultiThreadedEventLoopGroup.singleton,
            configuration: configuration)
    }

    /// Delivers over the connection, and closes it in any case.
    ///
    /// - Returns: why the connection ended, and whether anything was delivered.
    private func use(
        _ connection: ConductorConnection, to address: ConductorAddress, _ lanes: inout DeliveryLanesStateMachine,
        _ guestChanges: Int
    ) async throws -> (ConnectionEnd, hasDelivered: Bool) {
        let delivery = ConnectionDelivery(connection: connection, guestChanges: guestChanges, loop: self)
        defer { if delivery.hasDelivered { self.acceptingConductor.withLockedValue { $0 = address } } }
        do {
            let end = try await delivery.run(&lanes)
            await connection.close()
            // Answers that arrived by now count; later ones are ignored.
            delivery.processAnswers(&lanes)
            lanes.recordConnectionEnd()
            return (end, delivery.hasDelivered)
        } catch {
            // The task was cancelled, as when the drain timeout is reached: do not wait for the conductor's
            // close_notify.
            connection.beginClosing()
            delivery.processAnswers(&lanes)
            throw error
        }
    }

    /// Returns whether nothing is left to deliver. An outbox that cannot be read may have something.
    private func isDrained(_ lanes: DeliveryLanesStateMachine) async -> Bool {
        guard self.recorder.isEmpty, let readings = lanes.idleReadings else { return false }
        for reading in readings {
            let entries = try? await self.outbox.entries(reading.phase, after: reading.cursor, limit: reading.limit)
            guard entries?.isEmpty == true else { return false }
        }
        return true
    }

    /// Waits until this time. A stop since `wasStopping` was read, or a cancellation, ends the wait; once the agent
    /// stops, so does an empty outbox. New outcomes do not.
    private func pause(
        until end: ContinuousClock.Instant, _ lanes: DeliveryLanesStateMachine, wasStopping: Bool
    ) async {
        while !Task.isCancelled, .now < end, wasStopping == self.isStopping {
            if wasStopping, await self.isDrained(lanes) { return }
            await self.wakeSignal.wait(until: end)
        }
    }
}

extension GuestAgent.Configuration {
    /// The delays after failures.
    fileprivate var backoff: Backoff { Backoff(minimum: self.minimumBackoff, maximum: self.maximumBackoff) }
}
