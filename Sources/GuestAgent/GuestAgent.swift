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
    private let isRunning = NIOLockedValueBox(false)

    /// - Parameters:
    ///   - configuration: conductors, certificates, limits.
    ///   - outbox: where outcomes wait. The default is in memory: what waits is lost when the process dies.
    ///   - logger: told of connections, and of outcomes that are refused for good.
    /// - Throws: ``GuestAgentError`` when there is no conductor or a limit makes no sense, or an error that names the certificate, key or CA file
    ///   that cannot be used.
    public init(configuration: Configuration, outbox: any Outbox = MemoryOutbox(), logger: Logger) throws {
        guard !configuration.conductors.isEmpty else {
            throw GuestAgentError(.invalidConfiguration, "conductors is empty: name at least one.")
        }
        if let problem = configuration.problem { throw GuestAgentError(.invalidConfiguration, problem) }
        self.configuration = configuration
        self.outbox = outbox
        self.logger = logger
        self.delivery = DeliveryLoop(
            configuration: configuration, tls: try TLSContext(configuration: .init(configuration)), outbox: outbox,
            logger: logger)
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
        let counts = try await self.outbox.counts()
        if counts.waiting > 0 {
            self.logger.warning("Outcomes are left undelivered", metadata: ["waiting": "\(counts.waiting)"])
        }
    }

    /// What the outbox has seen.
    public func counts() async throws -> OutboxCounts { try await self.outbox.counts() }

    /// Runs an operation, and notifies how it ended: an end when the closure returns, an error when it throws, also
    /// when it throws because it was cancelled.
    ///
    /// Inside, ``OperationNotification/current`` is where end fields are added. It never waits for the control plane:
    /// it returns when the outcome is in the outbox.
    ///
    /// - Parameters:
    ///   - context: what the control plane attached to the call; with nil, from a control plane too old to send one,
    ///     the operation runs and nothing is notified.
    ///   - isolation: the actor that the operation runs on: the caller's.
    ///   - fileID: where the caller stands; part of an error's trace.
    ///   - line: where the caller stands; part of an error's trace.
    ///   - operation: the work.
    /// - Returns: what the operation returned.
    /// - Throws: what the operation threw; or an ``OutboxError`` before it began, when there is no room for its
    ///   outcome, so that no operation runs whose outcome could not be told; or what the outbox throws when the
    ///   operation succeeded and its end could not be kept.
    @discardableResult
    public func withNotification<Success>(
        _ context: NotificationContext?, isolation: isolated (any Actor)? = #isolation, fileID: String = #fileID,
        line: Int = #line, operation: () async throws -> Success
    ) async throws -> Success {
        guard let context else { return try await operation() }
        let messageID = MessageID()
        let kept = self.redacted(context)
        try await self.outbox.begin(BegunOperation(messageID: messageID, context: kept))
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
        try await self.outbox.begin(BegunOperation(messageID: messageID, context: kept))
        try await self.finish(outcome, context: kept, messageID: messageID)
    }

    /// What may lie in the outbox, which may be a file, and leave this guest.
    private func redacted(_ context: NotificationContext) -> NotificationContext {
        var context = context
        context.payload = self.configuration.redaction.redact(context.payload)
        return context
    }

    private func finish(
        _ outcome: OperationOutcome, context: NotificationContext, messageID: MessageID
    ) async throws {
        let report = OutcomeReport(
            context: context, outcome: self.configuration.redaction.redact(outcome), messageID: messageID)
        // A task of its own: that the operation was cancelled must not cancel the outbox's write, or its outcome is lost.
        try await Task { try await self.outbox.finish(report) }.value
        self.delivery.outcomeArrived()
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
