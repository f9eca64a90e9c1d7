// SPDX-License-Identifier: Apache-2.0

public import GuestSpool
public import Logging
import NIOConcurrencyHelpers
public import Notifications
import ServiceContextModule
public import ServiceLifecycle
import TLSChannel

/// Attaches a notification context to operations, and reports to a conductor how they ended.
///
/// Run the agent as a service next to the guest's own work. ``withNotification(_:isolation:fileID:line:operation:)``
/// also works before the agent runs; its outcomes then wait in the outbox.
public final class GuestAgent: Service {
    private let configuration: Configuration
    private let outbox: any Outbox
    private let logger: Logger
    private let delivery: DeliveryLoop
    private let certificates: CertificateReloader
    private let isRunning = NIOLockedValueBox(false)

    /// Creates an agent whose outcomes survive the process, and loads its certificate, key and authorities.
    ///
    /// - Parameters:
    ///   - configuration: conductors, certificates, limits.
    ///   - outbox: the spool in which outcomes wait. The agent does not close it: its owner closes it after ``run()``
    ///     has returned and no operation runs any more.
    ///   - logger: logs connections, and outcomes that were rejected permanently.
    /// - Throws: ``GuestAgentError`` when there is no conductor or a limit is invalid, or an error that names the
    ///   certificate, key, CA or CRL file that cannot be used.
    public convenience init(configuration: Configuration, outbox: Spool, logger: Logger) throws {
        try self.init(configuration: configuration, outbox: outbox as any Outbox, logger: logger)
    }

    /// Creates an agent whose waiting outcomes are lost with the process, and loads its certificate, key and
    /// authorities.
    ///
    /// - Parameters:
    ///   - configuration: conductors, certificates, limits.
    ///   - outbox: the memory in which outcomes wait.
    ///   - logger: logs connections, and outcomes that were rejected permanently.
    /// - Throws: ``GuestAgentError`` when there is no conductor or a limit is invalid, or an error that names the
    ///   certificate, key, CA or CRL file that cannot be used.
    public convenience init(configuration: Configuration, outbox: MemoryOutbox, logger: Logger) throws {
        try self.init(configuration: configuration, outbox: outbox as any Outbox, logger: logger)
    }

    /// Creates an agent whose outcomes wait in any outbox.
    package init(configuration: Configuration, outbox: any Outbox, logger: Logger) throws {
        guard !configuration.conductors.isEmpty else {
            throw GuestAgentError(.invalidConfiguration, "conductors is empty: add at least one conductor.")
        }
        if let problem = configuration.problem { throw GuestAgentError(.invalidConfiguration, problem) }
        self.configuration = configuration
        self.outbox = outbox
        self.logger = logger
        let context = try TLSContext(configuration: .init(configuration))
        // This comes before any operation begins or any outcome is read.
        outbox.setGuest(context.certificate.guestNames)
        let guest = GuestName(context.certificate.guestNames)
        let tls = LiveTLSContext(context)
        self.certificates = CertificateReloader(live: tls, interval: configuration.reloadInterval, logger: logger)
        self.delivery = DeliveryLoop(configuration: configuration, tls: tls, outbox: outbox, logger: logger)
        // A new certificate may name another guest; outcomes that wait belong to the earlier guest. The outbox records
        // that before a connection can use the new certificate, and connections with the old one end.
        tls.setOnReplacement { [weak delivery = self.delivery] context, isInUse in
            let names = context.certificate.guestNames
            if !isInUse { outbox.setGuest(names) }
            if guest.adopt(names, isInUse: isInUse) { delivery?.guestChanged() }
        }
        // The reference is weak, since the delivery loop holds the outbox.
        outbox.whenOutcomesArrive { [weak delivery = self.delivery] in
            for phase in DeliveryLanesStateMachine.phases { delivery?.signalArrival(phase) }
        }
    }

    /// Delivers outcomes until the task is cancelled or a graceful shutdown begins. On graceful shutdown it first
    /// delivers the outcomes that wait, for at most the drain timeout.
    ///
    /// - Throws: ``GuestAgentError`` when the agent runs already: two loops would take each other's answers.
    public func run() async throws {
        let isFirst = self.isRunning.withLockedValue { isRunning in
            defer { isRunning = true }
            return !isRunning
        }
        guard isFirst else {
            throw GuestAgentError(.alreadyRunning, "The guest agent is already running; call run() only once.")
        }
        defer { self.isRunning.withLockedValue { $0 = false } }
        try await self.deliverAndVerify()
        // Delivery has ended; the outbox may or may not still be readable.
        if let counts = try? await self.outbox.counts(), counts.waiting > 0 {
            self.logger.warning("Stopped with undelivered outcomes", metadata: ["waiting": "\(counts.waiting)"])
        }
    }

    private func deliverAndVerify() async throws {
        // This child task is cancelled when delivery has ended, so that the exit does not wait for a scan of the whole
        // outbox.
        async let _: Void = self.verifyOutbox()
        // This child task is cancelled in the same way.
        async let _: Void = self.certificates.run()
        let drainTimeout = self.configuration.drainTimeout
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.delivery.run() }
            group.addTask {
                // This wait is also cancelled when delivery has ended.
                try? await gracefulShutdown()
                self.delivery.stop()
                try await Task.sleep(for: drainTimeout)
            }
            // The first result decides: drained, failed, or drain timeout reached.
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func verifyOutbox() async {
        do {
            try await self.outbox.verify()
        } catch is CancellationError {
            // The agent ended first; the next one verifies the outbox.
        } catch {
            self.logger.error(
                "Failed to verify the outbox", metadata: ["error": "\(error)"])
        }
    }

    /// Reloads certificate, key, authorities and revocation lists, whether they changed or not, and logs the result. A
    /// running agent detects changes without this call, and logs warnings before expiry.
    public func reloadCertificates() async { await self.certificates.reload() }

    /// The reason why nothing is delivered at the moment, as a clause; nil when no problem is known.
    package var deliveryProblem: String? { self.delivery.deliveryProblem }

    /// The conductor that last accepted outcomes; nil before the first one did.
    package var lastAcceptingConductor: ConductorAddress? { self.delivery.lastAcceptingConductor }

    /// Returns the counters of the outbox.
    public func counts() async throws -> OutboxCounts { try await self.outbox.counts() }

    /// Runs an operation, and reports how it ended: an end when the closure returns, an error when it throws, also when
    /// it throws because it was cancelled.
    ///
    /// Inside the closure, ``OperationNotification/current`` accepts end fields. This method never waits for the
    /// control plane: it returns when the outcome is in the outbox.
    ///
    /// Cancelling the caller's task cancels the operation and nothing else. An operation that has begun is always
    /// reported, as an end or as an error, depending on whether the operation returns or throws.
    ///
    /// - Parameters:
    ///   - context: the context that the control plane attached to the call. With nil, from a control plane too old to
    ///     send one, the operation runs and nothing is reported.
    ///   - isolation: the actor that the operation runs on: the caller's.
    ///   - fileID: the caller's file; part of an error's trace.
    ///   - line: the caller's line; part of an error's trace.
    ///   - operation: the work.
    /// - Returns: the operation's result.
    /// - Throws: the operation's error, also when that error could not be recorded (which is logged as critical). Or an
    ///   `OutboxError` before the operation began, when the outbox has no space for its outcome or the spool's disk
    ///   fails: no operation runs whose outcome could not be reported.
    ///
    /// - Warning: This method also throws the outbox's error when the operation **succeeded** and its end could not be
    ///   recorded: an `OutboxError`, as before the beginning, but the operation has run. A spool still knows that the
    ///   operation began. Unless the end is written after all, the next agent that opens the spool reports the
    ///   operation as interrupted.
    @discardableResult
    public func withNotification<Success>(
        _ context: NotificationContext?, isolation: isolated (any Actor)? = #isolation, fileID: String = #fileID,
        line: Int = #line, operation: () async throws -> Success
    ) async throws -> Success {
        guard let context else { return try await operation() }
        let messageID = MessageID()
        let kept = self.redacted(context)
        try await self.begin(kept, messageID)
        let notification = OperationNotification(context: context)
        var ambient = ServiceContext.current ?? .topLevel
        ambient.operationNotification = notification
        let success: Success
        do {
            success = try await ServiceContext.withValue(ambient, operation: operation)
        } catch {
            let exception = ExceptionInfo(error, fileID: fileID, line: line)
            do {
                try await self.finish(
                    .error(exception, payload: notification.payload), context: kept, messageID: messageID)
            } catch let outboxError {
                // The caller must see the operation's own error.
                self.logger.critical("Failed to record an outcome", metadata: ["error": "\(outboxError)"])
            }
            throw error
        }
        try await self.finish(.end(payload: notification.payload), context: kept, messageID: messageID)
        return success
    }

    /// Reports an outcome that arose outside of this agent: `notify_end` and `notify_exc_info`.
    ///
    /// - Parameters:
    ///   - outcome: the outcome of the operation.
    ///   - context: the context of the operation; with nil nothing is reported.
    /// - Throws: `OutboxError` when the outbox has no space, or cannot record the outcome.
    public func notify(_ outcome: OperationOutcome, context: NotificationContext?) async throws {
        guard let context else { return }
        let messageID = MessageID()
        let kept = self.redacted(context)
        try await self.begin(kept, messageID)
        try await self.finish(outcome, context: kept, messageID: messageID)
    }

    /// Returns the context as it may enter the outbox, which may be a file, and leave this guest.
    ///
    /// The payload of a signed context stays unchanged, since a change would invalidate the signature. The control
    /// plane chose its content, and the conductor redacts it before it publishes anything.
    private func redacted(_ context: NotificationContext) -> NotificationContext {
        guard context.token == nil else { return context }
        var context = context
        context.payload = self.configuration.redaction.redact(context.payload)
        return context
    }

    private func begin(_ context: NotificationContext, _ messageID: MessageID) async throws {
        let operation = BegunOperation(messageID: messageID, context: context)
        // This runs in a separate task, as below: an outbox that reacts to a cancellation could record the beginning of
        // an operation that then does not run.
        try await Task { try await self.outbox.begin(operation) }.value
    }

    private func finish(
        _ outcome: OperationOutcome, context: NotificationContext, messageID: MessageID
    ) async throws {
        var report = OutcomeReport(
            context: context, outcome: self.configuration.redaction.redact(outcome), messageID: messageID)
        // Truncation comes before the outbox, so that every attempt sends the same report, and after redaction, which
        // must see the whole text.
        if !report.truncate(toLineLength: self.configuration.maximumLineLength) {
            self.logger.error(
                "Outcome exceeds the request limit and will be set aside",
                metadata: [
                    "bytes": "\(report.lineLength)", "limit": "\(self.configuration.maximumLineLength)",
                    "operation": "\(context.operation)", "message_id": "\(messageID)",
                ])
        }
        // This runs in a separate task: cancelling the operation must not cancel the outbox's write, or the outcome is
        // lost.
        try await Task { [report] in try await self.outbox.finish(report) }.value
        self.delivery.signalArrival(report.outcome.phase)
    }
}

/// An error of creating or running a guest agent.
public struct GuestAgentError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of failure.
    public struct Code: Sendable, Hashable {
        private let value: String

        /// A value of the configuration cannot be used.
        public static let invalidConfiguration = Code(value: "invalid configuration")
        /// The agent runs already.
        public static let alreadyRunning = Code(value: "already running")
    }

    /// The kind of failure.
    public let code: Code
    /// A sentence that says what failed and what to do.
    public let description: String

    /// Creates an error of this kind.
    package init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
