// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC
import FaultPoints
package import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
package import Notifications
package import Notifier
package import TLSChannel

/// A request handler that turns each report into a notification, and answers once every driver has confirmed it.
package struct Relay: RPCRequestHandler {
    private typealias Completion = @Sendable (RPCResult) -> Void

    private let notifier: Notifier
    private let catalogues: Catalogues
    private let publisherID: String
    private let address: String?
    private let authorization: GuestAuthorization
    private let refusals: RejectionLog
    private let forgetting: RateLimitedWarning
    private let withoutTenant: RateLimitedWarning
    private let verifier: ContextVerifier?
    private let ledger: NIOLockedValueBox<RelayLedgerStateMachine<Completion>>
    private let limits: ReportLimits
    private let audit: AuditLog?
    private let logger: Logger

    /// The value of `server_type` in the relay's notifications.
    package static let serverType = "conductor"
    /// The default number of confirmed outcomes that are remembered.
    package static let defaultRememberedIDs = 100_000

    /// - Parameters:
    ///   - notifier: publishes the notifications.
    ///   - catalogues: the operations that may be reported.
    ///   - publisherID: `<service>.<host>`.
    ///   - address: the value of `server_ip`; nil for the address that the guest connected to.
    ///   - rememberedIDs: the number of confirmed outcomes that are remembered, so that a guest that sends one again is
    ///     answered `duplicate`. With 0 each is published again, unless its operation is signed.
    ///   - authorization: decides which guest a peer is, and what it may report.
    ///   - verifier: checks contexts that the control plane has signed; nil to ignore tokens.
    ///   - limits: the limits on the size and the time of a report.
    ///   - audit: logs a line for each accepted outcome; nil for no audit.
    ///   - logger: logs failures behind the relay, in more detail than the guests' answers.
    package init(
        notifier: Notifier, catalogues: Catalogues, publisherID: String, address: String? = nil,
        rememberedIDs: Int = Self.defaultRememberedIDs, authorization: GuestAuthorization = GuestAuthorization(),
        verifier: ContextVerifier? = nil, limits: ReportLimits = ReportLimits(), audit: AuditLog? = nil,
        logger: Logger
    ) {
        self.notifier = notifier
        self.catalogues = catalogues
        self.publisherID = publisherID
        self.address = address
        self.authorization = authorization
        self.refusals = RejectionLog(authorization, logger: logger)
        self.limits = limits
        self.audit = audit
        self.verifier = verifier
        self.ledger = NIOLockedValueBox(
            RelayLedgerStateMachine(
                rememberedIDs: rememberedIDs,
                rememberedOperations: verifier?.configuration.rememberedOperations ?? 0))
        self.forgetting = RateLimitedWarning(
            """
            Forgot signed operations whose tokens are still accepted, so that each could be ended once more. Raise \
            context_signatures.remembered_operations
            """, logger: logger)
        self.withoutTenant = RateLimitedWarning(
            "A guest's certificate names no tenant, so the guest can name any", interval: .hours(1), logger: logger
        )
        self.logger = logger
    }

    /// The counters of all requests so far, as of one moment.
    package var counters: RelayCounters { self.ledger.withLockedValue { $0.counters } }

    package func identity(of certificate: PeerCertificate) -> PeerIdentity {
        let identity = self.authorization.identity(of: certificate)
        // If a tenant is required, the guest is rejected. If contexts must be signed, the signature names the tenant.
        if !self.authorization.requiresTenant, self.verifier?.configuration.policy != .require,
            let guest = GuestIdentity(identity), guest.tenantID == nil
        {
            self.withoutTenant.happened(
                on: MultiThreadedEventLoopGroup.singleton.any(),
                metadata: ["guest": "\(guest)", "setting": "identity.require_tenant"])
        }
        return identity
    }

    package func refused(_ code: RPCError.Code, from peer: RPCPeer) {
        self.ledger.withLockedValue { $0.refused(code) }
    }

    package func flush() { self.notifier.flush() }

    package func handle(_ call: RPCCall, from peer: RPCPeer, completion: @escaping @Sendable (RPCResult) -> Void) {
        switch call {
        case .ping:
            self.ledger.withLockedValue { $0.pinged() }
            do throws(RPCError) {
                _ = try self.authorization.guest(peer)
                completion(.success(.pong(version: RPCProtocol.version)))
            } catch {
                self.refusals.refused(error, peer)
                completion(.failure(error))
            }
        case .notify(let report): self.relay(self.checked(report, from: peer), from: peer, completion)
        }
    }

    /// Checks the report, and makes its message and the drivers' messages. The only lock that this takes is the lock of
    /// the signing keys, for as long as it takes to copy a reference.
    package func prepare(_ call: RPCCall, from peer: RPCPeer) -> PreparedCall {
        guard case .notify(let report) = call else {
            return PreparedCall { self.handle(call, from: peer, completion: $0) }
        }
        var checked = self.checked(report, from: peer)
        if case .success(var outcome) = checked, case .message(let message) = outcome.notification, outcome.isPublished
        {
            // Wasted work for an outcome that was sent before, but only the ledger knows which ones were.
            outcome.notification = .prepared(self.notifier.prepare(message))
            checked = .success(outcome)
        }
        return PreparedCall { [checked] completion in self.relay(checked, from: peer, completion) }
    }

    private func checked(_ report: OutcomeReport, from peer: RPCPeer) -> Result<CheckedOutcome, RPCError> {
        do throws(RPCError) {
            return .success(try self.check(report, from: peer))
        } catch {
            return .failure(error)
        }
    }

    private func relay(
        _ checked: Result<CheckedOutcome, RPCError>, from peer: RPCPeer, _ completion: @escaping Completion
    ) {
        switch checked {
        case .success(let outcome): self.relay(outcome, from: peer, completion)
        case .failure(let error): self.refuse(error, peer, completion)
        }
    }

    private func relay(_ checked: CheckedOutcome, from peer: RPCPeer, _ completion: @escaping Completion) {
        let messageID = checked.messageID
        if let names = checked.leftOutNames {
            self.logger.debug(
                "Left out fields that the event does not declare",
                metadata: ["event_type": "\(checked.eventType)", "fields": "\(names)"])
        }
        if let expiry = checked.expiry, !checked.isPublished {
            self.refuse(expiry, peer, completion)
            return
        }
        guard checked.isPublished else {
            self.ledger.withLockedValue { $0.disabled(leftOut: checked.leftOut) }
            completion(.success(.taken(messageID, .disabled)))
            return
        }
        let key = OutcomeKey(messageID, from: peer.identity)
        let arrival = self.ledger.withLockedValue {
            $0.arrived(
                key, content: checked.contentDigest, operation: checked.signed, isLate: checked.expiry != nil,
                leftOut: checked.leftOut, waiter: self.waiter(checked, peer, completion))
        }
        switch arrival {
        case .isNew: self.publish(checked, key, peer, completion)
        case .joined: break
        case .wasConfirmed:
            self.audit?.duplicate(checked.record(.duplicate, from: peer), of: peer.identity)
            completion(.success(.taken(messageID, .duplicate)))
        case .conflicts: completion(.failure(.conflict))
        case .operationIsBeingEnded: completion(.failure(.operationIsBeingEnded))
        case .operationWasEnded: self.reject(.operationWasEnded, peer, completion)
        case .operationIsBound: self.reject(.operationIsBound, peer, completion)
        case .isTooLate: self.reject(checked.expiry ?? .operationWasEnded, peer, completion)
        }
    }

    private func refuse(_ error: RPCError, _ peer: RPCPeer, _ completion: Completion) {
        self.ledger.withLockedValue { $0.refused(error.code) }
        self.reject(error, peer, completion)
    }

    /// Answers with an error that is already counted, and logs the rejection for the operator.
    private func reject(_ error: RPCError, _ peer: RPCPeer, _ completion: Completion) {
        self.refusals.refused(error, peer)
        completion(.failure(error))
    }

    /// Returns the completion of a request that repeats an outcome in flight.
    private func waiter(
        _ checked: CheckedOutcome, _ peer: RPCPeer, _ completion: @escaping Completion
    ) -> Completion {
        self.audit?.joining(completion, checked.record(.duplicate, from: peer), of: peer.identity) ?? completion
    }

    private func publish(
        _ checked: CheckedOutcome, _ key: OutcomeKey, _ peer: RPCPeer, _ completion: @escaping Completion
    ) {
        let (messageID, signed) = (checked.messageID, checked.signed)
        var audited: AuditLog.Reservation?
        if let audit = self.audit {
            audited = audit.reserve(for: checked.record(.published, from: peer))
            guard audited != nil else {
                Self.settle(
                    key, signed, messageID, Failure(error: .noPlaceForLine, mayHaveArrived: false), self.ledger,
                    self.forgetting, nil, completion)
                return
            }
        }
        // Captures only what is needed of the report: the rest must not stay in memory until the broker confirms.
        let published: @Sendable (Result<Void, DriverError>) -> Void = {
            [ledger, logger, forgetting, audited] result in
            var failure: Failure?
            if case .failure(let error) = result {
                failure = Failure(error: RPCError(error), mayHaveArrived: error.mayHaveArrived)
                // The operator must fix the cause of a permanent rejection, and the answer refers to this line.
                logger.log(
                    level: error.code == .refused ? .error : .debug, "Failed to publish a notification",
                    metadata: ["message_id": "\(messageID)", "error": "\(error)"])
            }
            guard !Sabotage.acknowledgeBeforeConfirm.isOn else { return }
            Self.settle(key, signed, messageID, failure, ledger, forgetting, audited, completion)
        }
        switch checked.notification {
        case .message(let message): self.notifier.enqueue(message, completion: published)
        case .prepared(let notification): notification.enqueue(completion: published)
        }
        FaultPoint.conductorBeforeConfirm.reached()
        if Sabotage.acknowledgeBeforeConfirm.isOn {
            Self.settle(key, signed, messageID, nil, self.ledger, self.forgetting, audited, completion)
        }
    }

    /// The failure to publish an outcome.
    private struct Failure {
        /// The error that the guest is answered with.
        var error: RPCError
        /// Whether the broker may have the outcome in spite of the error.
        var mayHaveArrived: Bool
    }

    /// Answers the request, and the guest's other requests that sent the same outcome in the meantime.
    ///
    /// - Parameter failure: nil if the outcome was published.
    private static func settle(
        _ key: OutcomeKey, _ signed: SignedOperation?, _ messageID: MessageID, _ failure: Failure?,
        _ ledger: NIOLockedValueBox<RelayLedgerStateMachine<Completion>>,
        _ forgetting: RateLimitedWarning, _ audited: AuditLog.Reservation?, _ completion: Completion
    ) {
        let mayHaveArrived = failure?.mayHaveArrived ?? true
        // Before the guest is answered, so that each outcome that the guest knows to be published has its line.
        if mayHaveArrived {
            audited?.accepted(failure == nil ? .published : .unconfirmed)
        } else {
            audited?.release()
        }
        let now = NotificationTimestamp.now().microsecondsSinceEpoch / 1_000_000
        let (joined, hasForgotten) = ledger.withLockedValue { [code = failure?.error.code] ledger in
            let forgotten = ledger.counters.forgottenOperations
            let joined = ledger.ended(
                key, with: code, mayHaveArrived: mayHaveArrived, operation: signed, now: now)
            return (joined, ledger.counters.forgottenOperations > forgotten)
        }
        if hasForgotten { forgetting.happened(on: MultiThreadedEventLoopGroup.singleton.any()) }
        if let failure {
            completion(.failure(failure.error))
            for completion in joined { completion(.failure(failure.error)) }
        } else {
            FaultPoint.conductorBeforeAnswer.reached()
            completion(.success(.taken(messageID, .published)))
            for completion in joined { completion(.success(.taken(messageID, .duplicate))) }
        }
    }

    private func check(_ report: OutcomeReport, from peer: RPCPeer) throws(RPCError) -> CheckedOutcome {
        let guest = try self.authorization.guest(peer)
        guard let operation = self.catalogues.operation(report.context.operation) else {
            throw RPCError(
                .unknownEvent, "The catalogues have no operation with this name; Docs/events.md lists the operations.",
                field: "params.context.operation")
        }
        let report = try self.authorization.check(report, operation, of: guest)
        let verified = try self.verifier?.verify(report, operation: operation, instance: guest.instanceID)
        try self.limits.checkTime(of: report, issuedAt: verified?.issuedAt)
        let origin = NotificationOrigin(
            publisherID: self.publisherID, serverType: Self.serverType, serverIP: self.address ?? peer.localAddress)
        // Without a signature of the control plane, the rights in a context are only the guest's own claim.
        let context = verified == nil ? report.context.withoutRights : report.context
        let notification: ValidatedNotification
        do {
            notification = try operation.notification(
                of: self.limits.cut(report.outcome, self.notifier.redaction), context: context, origin: origin,
                messageID: report.messageID, timestamp: report.timestamp)
        } catch {
            throw RPCError(error.within("params"))
        }
        try verified?.check(notification.message)
        try self.limits.check(notification.message)
        var message = notification.message
        message.sender = peer.sender
        let names = notification.undeclaredFields
        return CheckedOutcome(
            message, isPublished: operation.isPublished(report.outcome.phase), signed: verified?.signed,
            expiry: verified?.expiry,
            leftOut: names.isEmpty
                ? nil
                : .init(count: names.count, operation: "\(operation.catalogue.service).\(operation.definition.key)"),
            leftOutNames: names.isEmpty || self.logger.logLevel > .debug
                ? nil : names.prefix(8).map(\.excerpt).joined(separator: ", "))
    }
}

extension RPCError {
    /// The error for a message id that was sent with another outcome before. An answer of `duplicate` would lose this
    /// outcome silently.
    fileprivate static let conflict = RPCError(
        .invalidParameters,
        "params.message_id was already used for another outcome, which remains valid; give each outcome a unique message_id",
        field: "params.message_id")

    fileprivate static let operationWasEnded = refusedToken(
        "was used: another outcome, with another message_id, has ended its operation")

    /// The error is permanent: nothing more will be known of the other outcome, unless its own guest sends it again.
    fileprivate static let operationIsBound = refusedToken(
        "was used: another outcome of its operation, with another message_id, was sent to the broker, which may "
            + "have it; only that one may be sent again")

    /// The error is retryable: the other outcome may fail, and then this one can be published.
    fileprivate static let operationIsBeingEnded = RPCError(
        .brokerUnavailable,
        "Another outcome of the operation of params.context.token is being published; send this one again later.",
        retryAfterMilliseconds: 1000)

    /// Creates the answer to a driver's failure: enough for a guest to act on, and nothing about the control plane's
    /// internals.
    fileprivate init(_ error: DriverError) {
        switch error.code {
        case .tooLarge:
            let limit = error.limitBytes
            let size = limit.map { " (\($0) bytes)" } ?? ""
            self.init(.tooLarge, "The notification is larger than the broker accepts\(size).", limitBytes: limit)
        case .rateLimited:
            self.init(
                .rateLimited,
                "This guest has reached its limit of notifications waiting for the broker; send this one again later.",
                retryAfterMilliseconds: 1000)
        case .unavailable:
            let problem =
                switch DriverName(rawValue: error.driver) {
                case .messaging?, .messagingv2?: "The broker has not confirmed the notification"
                case .log?: "The conductor's log driver cannot write the notification to standard output"
                default: "The conductor's driver \(error.driver.excerpt) cannot accept the notification"
                }
            self.init(.brokerUnavailable, "\(problem); send it again later.", retryAfterMilliseconds: 1000)
        default:
            self.init(
                .internal, "The conductor cannot publish this notification; its operator finds the reason in its log.",
                retryAfterMilliseconds: 60_000)
        }
    }
}
