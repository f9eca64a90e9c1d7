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
    private typealias Completion = PendingReport.Completion

    private let notifier: Notifier
    private let catalogues: Catalogues
    private let publisherID: String
    private let address: String?
    private let authorization: GuestAuthorization
    private let rejectionLog: RejectionLog
    private let forgottenOperations: RateLimitedWarning
    private let missingTenant: RateLimitedWarning
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
        self.rejectionLog = RejectionLog(authorization, logger: logger)
        self.limits = limits
        self.audit = audit
        self.verifier = verifier
        self.ledger = NIOLockedValueBox(
            RelayLedgerStateMachine(
                rememberedIDs: rememberedIDs,
                rememberedOperations: verifier?.configuration.rememberedOperations ?? 0))
        self.forgottenOperations = RateLimitedWarning(
            """
            Forgot signed operations whose tokens are still accepted, so that each could be ended once more. Raise \
            context_signatures.remembered_operations
            """, logger: logger)
        self.missingTenant = RateLimitedWarning(
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
            self.missingTenant.record(
                on: MultiThreadedEventLoopGroup.singleton.any(),
                metadata: ["guest": "\(guest)", "setting": "identity.require_tenant"])
        }
        return identity
    }

    package func recordRejection(_ code: RPCError.Code, from peer: RPCPeer) {
        self.ledger.withLockedValue { $0.countRejection(code) }
    }

    package func flush() { self.notifier.flush() }

    package func handle(_ call: RPCCall, from peer: RPCPeer, completion: @escaping @Sendable (RPCResult) -> Void) {
        switch call {
        case .ping:
            self.ledger.withLockedValue { $0.countPing() }
            do throws(RPCError) {
                _ = try self.authorization.guest(peer)
                completion(.success(.pong(version: RPCProtocol.version)))
            } catch {
                self.rejectionLog.log(error, peer)
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
        case .failure(let error): self.countAndReject(error, peer, completion)
        }
    }

    private func relay(_ checked: CheckedOutcome, from peer: RPCPeer, _ completion: @escaping Completion) {
        let messageID = checked.messageID
        if let names = checked.undeclaredNames {
            self.logger.debug(
                "Left out fields that the event does not declare",
                metadata: ["event_type": "\(checked.eventType)", "fields": "\(names)"])
        }
        if let expiryError = checked.expiryError, !checked.isPublished {
            self.countAndReject(expiryError, peer, completion)
            return
        }
        guard checked.isPublished else {
            self.ledger.withLockedValue { $0.countDisabled(undeclared: checked.undeclared) }
            completion(.success(.accepted(messageID, .disabled)))
            return
        }
        let key = OutcomeKey(messageID, from: peer.identity)
        let status = self.ledger.withLockedValue {
            $0.admit(
                key, content: checked.contentDigest, operation: checked.signed, isExpired: checked.expiryError != nil,
                undeclared: checked.undeclared, waiter: self.waiter(checked, peer, completion))
        }
        switch status {
        case .new, .unconfirmed: self.publish(checked, key, peer, completion)
        case .inFlight: break
        case .confirmed:
            self.audit?.recordDuplicate(checked.record(.duplicate, from: peer), of: peer.identity)
            completion(.success(.accepted(messageID, .duplicate)))
        case .conflicting: completion(.failure(.conflict))
        case .otherInFlight: completion(.failure(.otherOutcomeInFlight))
        case .otherConfirmed: self.reject(.otherOutcomeConfirmed, peer, completion)
        case .otherUnconfirmed: self.reject(.otherOutcomeUnconfirmed, peer, completion)
        case .expired: self.reject(checked.expiryError ?? .otherOutcomeConfirmed, peer, completion)
        }
    }

    private func countAndReject(_ error: RPCError, _ peer: RPCPeer, _ completion: Completion) {
        self.ledger.withLockedValue { $0.countRejection(error.code) }
        self.reject(error, peer, completion)
    }

    /// Answers with an error that is already counted, and logs the rejection for the operator.
    private func reject(_ error: RPCError, _ peer: RPCPeer, _ completion: Completion) {
        self.rejectionLog.log(error, peer)
        completion(.failure(error))
    }

    /// Returns the completion of a request that repeats an outcome in flight.
    private func waiter(
        _ checked: CheckedOutcome, _ peer: RPCPeer, _ completion: @escaping Completion
    ) -> Completion {
        self.audit?.recordingDuplicate(completion, checked.record(.duplicate, from: peer), of: peer.identity)
            ?? completion
    }

    private func publish(
        _ checked: CheckedOutcome, _ key: OutcomeKey, _ peer: RPCPeer, _ completion: @escaping Completion
    ) {
        let auditSlot = self.audit?.reserve(for: checked.record(.published, from: peer))
        let report = PendingReport(
            key: key, messageID: checked.messageID, operation: checked.signed, auditSlot: auditSlot,
            ledger: self.ledger, forgottenOperations: self.forgottenOperations, logger: self.logger,
            completion: completion)
        if self.audit != nil, auditSlot == nil { return report.reject(.auditBacklogFull, mayHaveArrived: false) }
        if Sabotage.acknowledgeBeforeConfirm.isOn {
            self.enqueue(checked.notification) { _ in }
            report.acknowledge()
        } else {
            self.enqueue(checked.notification) { report.complete($0) }
        }
    }

    private func enqueue(
        _ notification: CheckedOutcome.Notification,
        completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        switch notification {
        case .message(let message): self.notifier.enqueue(message, completion: completion)
        case .prepared(let prepared): prepared.enqueue(completion: completion)
        }
        FaultPoint.conductorBeforeConfirm.reached()
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
            expiryError: verified?.expiryError,
            undeclared: names.isEmpty
                ? nil
                : .init(count: names.count, operation: "\(operation.catalogue.service).\(operation.definition.key)"),
            undeclaredNames: names.isEmpty || self.logger.logLevel > .debug
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

    fileprivate static let otherOutcomeConfirmed = rejectedToken(
        "was used: another outcome, with another message_id, has ended its operation")

    /// The error is permanent: nothing more will be known of the other outcome, unless its own guest sends it again.
    fileprivate static let otherOutcomeUnconfirmed = rejectedToken(
        "was used: another outcome of its operation, with another message_id, was sent to the broker, which may "
            + "have it; only that one may be sent again")

    /// The error is retryable: the other outcome may fail, and then this one can be published.
    fileprivate static let otherOutcomeInFlight = RPCError(
        .brokerUnavailable,
        "Another outcome of the operation of params.context.token is being published; send this one again later.",
        retryAfterMilliseconds: 1000)
}
