@_exported public import GuestSpool
public import Logging
import NIOConcurrencyHelpers
@_exported public import Notifications
import ServiceContextModule
public import ServiceLifecycle
import TLSSocket

/// Attaches a notification context to operations, and tells a conductor how they ended.
///
/// Run it as a service beside the guest's own work; ``withNotification(_:isolation:fileID:line:operation:)`` works
/// before it runs too, and its outcomes wait.
public final class GuestAgent: Service {
    private let configuration: Configuration
    private let outbox: any Outbox
    private let logger: Logger
    private let delivery: DeliveryLoop
    private let certificates: CertificateReloader
    private let isRunning = NIOLockedValueBox(false)

    /// - Parameters:
    ///   - configuration: conductors, certificates, limits.
    ///   - outbox: where outcomes wait: a ``Spool``, or a ``MemoryOutbox`` where it does not matter that what waits is
    ///     lost when the process dies. Whoever opened the spool closes it, after ``run()`` has returned and no operation
    ///     runs any more; the agent closes nothing.
    ///   - logger: told of connections, and of outcomes that are refused for good.
    /// - Throws: ``GuestAgentError`` when there is no conductor or a limit makes no sense, or an error that names the certificate, key or CA file
    ///   that cannot be used.
    public init(configuration: Configuration, outbox: any Outbox, logger: Logger) throws {
        guard !configuration.conductors.isEmpty else {
            throw GuestAgentError(.invalidConfiguration, "conductors is empty: name at least one.")
        }
        if let problem = configuration.problem { throw GuestAgentError(.invalidConfiguration, problem) }
        self.configuration = configuration
        self.outbox = outbox
        self.logger = logger
        let context = try TLSContext(configuration: .init(configuration))
        // Before an operation is begun or an outcome read.
        outbox.setGuest(context.certificate.guestNames)
        let guest = GuestName(context.certificate.guestNames)
        let tls = LiveTLSContext(context)
        self.certificates = CertificateReloader(live: tls, interval: configuration.reloadInterval, logger: logger)
        self.delivery = DeliveryLoop(configuration: configuration, tls: tls, outbox: outbox, logger: logger)
        // The guest's name may change with its certificate: what waits is then of the one that it had before. That is recorded
        // before a connection can use the new one, and connections of the old one end.
        tls.setOnReplacement { [weak delivery = self.delivery] context, isInUse in
            let names = context.certificate.guestNames
            if !isInUse { outbox.setGuest(names) }
            if guest.isOther(names, isInUse: isInUse) { delivery?.guestChanged() }
        }
        // Weak, for the delivery has the outbox.
        outbox.whenOutcomesArrive { [weak delivery = self.delivery] in
            for phase in DeliveryLanes.phases { delivery?.outcomeArrived(phase) }
        }
    }

    /// Delivers outcomes until the task is cancelled or a graceful shutdown begins; then what waits is delivered, for
    /// as long as the drain timeout allows.
    ///
    /// - Throws: ``GuestAgentError`` when it runs already: two at once would take each other's answers.
    public func run() async throws {
        let isFirst = self.isRunning.withLockedValue { isRunning in
            defer { isRunning = true }
            return !isRunning
        }
        guard isFirst else { throw GuestAgentError(.alreadyRunning, "The guest agent runs already; run it once.") }
        defer { self.isRunning.withLockedValue { $0 = false } }
        try await self.deliverAndVerify()
        // Delivery is over, whether the outbox can still be read or not.
        if let counts = try? await self.outbox.counts(), counts.waiting > 0 {
            self.logger.warning("Outcomes are left undelivered", metadata: ["waiting": "\(counts.waiting)"])
        }
    }

    private func deliverAndVerify() async throws {
        // Ends, by cancellation, when delivery has: nobody waits at the end until all of the outbox is looked through.
        async let _: Void = self.verifyOutbox()
        // Ends likewise.
        async let _: Void = self.certificates.run()
        let drainTimeout = self.configuration.drainTimeout
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.delivery.run() }
            group.addTask {
                // Also ends, by cancellation, once delivery has.
                try? await gracefulShutdown()
                self.delivery.stop()
                try await Task.sleep(for: drainTimeout)
            }
            // Whichever is first: drained, failed, or out of time.
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func verifyOutbox() async {
        do {
            try await self.outbox.verify()
        } catch is CancellationError {
            // The agent ends first; the next one looks.
        } catch {
            self.logger.error(
                "Whether the outbox is in order could not be found out", metadata: ["error": "\(error)"])
        }
    }

    /// Reads certificate, key, authorities and revocation lists again, whether they seem changed or not, and says in the log
    /// what came of it. While the agent runs it notices changes by itself, and warns of what expires.
    public func reloadCertificates() async { await self.certificates.reload() }

    /// Why nothing is delivered at the moment, and where, in half a sentence; nil when nothing is known to be in the way.
    package var obstacle: String? { self.delivery.obstacle }

    /// The conductor that took outcomes last; nil before one did.
    package var lastUsefulConductor: ConductorAddress? { self.delivery.lastUsefulConductor }

    /// What the outbox has seen.
    public func counts() async throws -> OutboxCounts { try await self.outbox.counts() }

    /// Runs an operation, and notifies how it ended: an end when the closure returns, an error when it throws, also
    /// when it throws because it was cancelled.
    ///
    /// Inside, ``OperationNotification/current`` is where end fields are added. It never waits for the control plane:
    /// it returns when the outcome is in the outbox.
    ///
    /// A cancellation of the caller's task reaches the operation, and nothing else: an operation that was begun is told,
    /// and how it deals with its cancellation decides whether as an end or as an error.
    ///
    /// - Parameters:
    ///   - context: what the control plane attached to the call; with nil, from a control plane too old to send one,
    ///     the operation runs and nothing is notified.
    ///   - isolation: the actor that the operation runs on: the caller's.
    ///   - fileID: where the caller stands; part of an error's trace.
    ///   - line: where the caller stands; part of an error's trace.
    ///   - operation: the work.
    /// - Returns: what the operation returned.
    /// - Throws: what the operation threw, also when its error could not be kept (which is logged as critical). Or an
    ///   ``OutboxError`` before it began, when there is no room for its outcome or the spool's disk fails, so that no
    ///   operation runs whose outcome could not be told.
    ///
    /// - Warning: it also throws what the outbox throws when the operation **succeeded** and its end could not be kept: an
    ///   ``OutboxError``, as before the beginning, but the operation was run. A spool still knows that it began, and unless
    ///   the end is written after all, the next agent that opens it tells the operation as interrupted.
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
                // The operation's own error is what its caller must see.
                self.logger.critical("An outcome could not be kept", metadata: ["error": "\(outboxError)"])
            }
            throw error
        }
        try await self.finish(.end(payload: notification.payload), context: kept, messageID: messageID)
        return success
    }

    /// Notifies an outcome that arose elsewhere: `notify_end` and `notify_exc_info`.
    ///
    /// - Parameters:
    ///   - outcome: how the operation ended.
    ///   - context: the context it ran under; with nil nothing is notified.
    /// - Throws: ``OutboxError`` when there is no room.
    public func notify(_ outcome: OperationOutcome, context: NotificationContext?) async throws {
        guard let context else { return }
        let messageID = MessageID()
        let kept = self.redacted(context)
        try await self.begin(kept, messageID)
        try await self.finish(outcome, context: kept, messageID: messageID)
    }

    /// What may lie in the outbox, which may be a file, and leave this guest.
    ///
    /// A payload that was signed stays as it is, or the signature would not be its any more. The control plane has chosen
    /// what is in it, and the conductor redacts it before it publishes anything.
    private func redacted(_ context: NotificationContext) -> NotificationContext {
        guard context.token == nil else { return context }
        var context = context
        context.payload = self.configuration.redaction.redact(context.payload)
        return context
    }

    private func begin(_ context: NotificationContext, _ messageID: MessageID) async throws {
        let operation = BegunOperation(messageID: messageID, context: context)
        // A task of its own, as below: an outbox that heeds a cancellation could begin what is then not run.
        try await Task { try await self.outbox.begin(operation) }.value
    }

    private func finish(
        _ outcome: OperationOutcome, context: NotificationContext, messageID: MessageID
    ) async throws {
        var report = OutcomeReport(
            context: context, outcome: self.configuration.redaction.redact(outcome), messageID: messageID)
        // Before it enters the outbox, so that it is the same whenever it is sent; and after the redaction, which must see
        // all of it.
        if !report.cut(toLineLength: self.configuration.maximumLineLength) {
            self.logger.error(
                "An outcome's context and fields are longer than a conductor takes; it will be set aside",
                metadata: [
                    "bytes": "\(report.lineLength)", "limit": "\(self.configuration.maximumLineLength)",
                    "operation": "\(context.operation)", "message_id": "\(messageID)",
                ])
        }
        // A task of its own: that the operation was cancelled must not cancel the outbox's write, or its outcome is lost.
        try await Task { [report] in try await self.outbox.finish(report) }.value
        self.delivery.outcomeArrived(report.outcome.phase)
    }
}

/// Why a guest agent cannot be made or run.
public struct GuestAgentError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of failure.
    public struct Code: Sendable, Hashable {
        private let value: String

        /// A value of the configuration cannot be used.
        public static let invalidConfiguration = Code(value: "invalid configuration")
        /// The agent runs already.
        public static let alreadyRunning = Code(value: "already running")
    }

    /// What kind of failure.
    public let code: Code
    /// What happened and what to do, in a sentence.
    public let description: String

    /// An error of this kind.
    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
