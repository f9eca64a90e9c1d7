package import ConductorRPC
import FaultPoints
package import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
package import Notifications
package import Notifier
package import TLSSocket

/// Turns what a guest reports into a notification, and answers once every driver vouches for it.
package struct Relay: RPCRequestHandler {
    private typealias Completion = @Sendable (RPCResult) -> Void

    private let notifier: Notifier
    private let catalogues: Catalogues
    private let publisherID: String
    private let address: String?
    private let authorization: GuestAuthorization
    private let refusals: RefusalLog
    private let forgetting: Notice
    private let withoutTenant: Notice
    private let verifier: ContextVerifier?
    private let ledger: NIOLockedValueBox<RelayLedger<Completion>>
    private let limits: ReportLimits
    private let audit: OutcomeAudit?
    private let logger: Logger

    /// What the relay says of itself in `server_type`.
    package static let serverType = "conductor"
    /// How many confirmed outcomes are remembered by default.
    package static let defaultRememberedIDs = 100_000

    /// - Parameters:
    ///   - notifier: where notifications go.
    ///   - catalogues: the operations that may be reported.
    ///   - publisherID: `<service>.<host>`.
    ///   - address: what `server_ip` says; nil for the address under which the guest reached us.
    ///   - rememberedIDs: how many confirmed outcomes are remembered, so that a guest that sends one again is answered
    ///     `duplicate`; with 0 each is published again.
    ///   - authorization: decides who a guest is and what it may say.
    ///   - verifier: checks contexts that the control plane has signed; with nil tokens are not looked at.
    ///   - limits: how large what a guest reports may be.
    ///   - audit: writes a line for each accepted outcome; nil for none.
    ///   - logger: where it is logged what goes wrong behind the relay; guests' answers say less.
    package init(
        notifier: Notifier, catalogues: Catalogues, publisherID: String, address: String? = nil,
        rememberedIDs: Int = Self.defaultRememberedIDs, authorization: GuestAuthorization = GuestAuthorization(),
        verifier: ContextVerifier? = nil, limits: ReportLimits = ReportLimits(), audit: OutcomeAudit? = nil,
        logger: Logger
    ) {
        self.notifier = notifier
        self.catalogues = catalogues
        self.publisherID = publisherID
        self.address = address
        self.authorization = authorization
        self.refusals = RefusalLog(authorization, logger: logger)
        self.limits = limits
        self.audit = audit
        self.verifier = verifier
        self.ledger = NIOLockedValueBox(
            RelayLedger(
                rememberedIDs: rememberedIDs,
                rememberedOperations: verifier?.configuration.rememberedOperations ?? 0))
        self.forgetting = Notice(
            """
            Signed operations were forgotten whose tokens are still taken, so that each could be ended once more: raise \
            context_signatures.remembered_operations
            """, logger: logger)
        self.withoutTenant = Notice(
            "A guest's certificate names no tenant, so that the guest can name any", interval: .hours(1), logger: logger
        )
        self.logger = logger
    }

    /// What became of the requests so far, all of one moment.
    package var counters: RelayCounters { self.ledger.withLockedValue { $0.counters } }

    package func identity(of certificate: PeerCertificate) -> PeerIdentity {
        let identity = self.authorization.identity(of: certificate)
        // Where a tenant is required the guest is refused, and where contexts must be signed a signature names it.
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

    /// Reads the report, checks it, and makes its message and the drivers'. The only lock that is taken for it is that of the keys, for as
    /// long as it takes to copy a reference.
    package func prepare(_ call: RPCCall, from peer: RPCPeer) -> PreparedCall {
        guard case .notify(let report) = call else {
            return PreparedCall { self.handle(call, from: peer, completion: $0) }
        }
        var checked = self.checked(report, from: peer)
        if case .success(var outcome) = checked, case .message(let message) = outcome.notification, outcome.isPublished
        {
            // Of a repeated outcome in vain: only the ledger knows that it is one.
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
                "Fields that the event does not declare were left out",
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
        case .operationWasEnded: self.tell(.operationWasEnded, peer, completion)
        case .operationIsBound: self.tell(.operationIsBound, peer, completion)
        case .isTooLate: self.tell(checked.expiry ?? .operationWasEnded, peer, completion)
        }
    }

    private func refuse(_ error: RPCError, _ peer: RPCPeer, _ completion: Completion) {
        self.ledger.withLockedValue { $0.refused(error.code) }
        self.tell(error, peer, completion)
    }

    /// A refusal that has been counted, and that the operator should hear of too.
    private func tell(_ error: RPCError, _ peer: RPCPeer, _ completion: Completion) {
        self.refusals.refused(error, peer)
        completion(.failure(error))
    }

    /// The completion of a request that repeats an outcome in flight.
    private func waiter(
        _ checked: CheckedOutcome, _ peer: RPCPeer, _ completion: @escaping Completion
    ) -> Completion {
        self.audit?.joining(completion, checked.record(.duplicate, from: peer), of: peer.identity) ?? completion
    }

    private func publish(
        _ checked: CheckedOutcome, _ key: OutcomeKey, _ peer: RPCPeer, _ completion: @escaping Completion
    ) {
        let (messageID, signed) = (checked.messageID, checked.signed)
        var audited: OutcomeAudit.Reservation?
        if let audit = self.audit {
            audited = audit.reserve(for: checked.record(.published, from: peer))
            guard audited != nil else {
                Self.settle(
                    key, signed, messageID, Failure(error: .noPlaceForLine, mayHaveArrived: false), self.ledger,
                    self.forgetting, nil, completion)
                return
            }
        }
        // Of the report only what is needed: the rest of it must not lie here until the broker confirms.
        let published: @Sendable (Result<Void, DriverError>) -> Void = {
            [ledger, logger, forgetting, audited] result in
            var failure: Failure?
            if case .failure(let error) = result {
                failure = Failure(error: RPCError(error), mayHaveArrived: error.mayHaveArrived)
                // What is refused for good is the operator's to fix, and the answer refers to this line.
                logger.log(
                    level: error.code == .refused ? .error : .debug, "A notification was not published",
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

    /// Why an outcome was not published.
    private struct Failure {
        /// The guest is answered so.
        var error: RPCError
        /// Whether the broker may have it in spite of that.
        var mayHaveArrived: Bool
    }

    /// Answers the guest, and those of its connections that sent the same meanwhile.
    ///
    /// - Parameter failure: nil when it was published.
    private static func settle(
        _ key: OutcomeKey, _ signed: SignedOperation?, _ messageID: MessageID, _ failure: Failure?,
        _ ledger: NIOLockedValueBox<RelayLedger<Completion>>,
        _ forgetting: Notice, _ audited: OutcomeAudit.Reservation?, _ completion: Completion
    ) {
        let mayHaveArrived = failure?.mayHaveArrived ?? true
        // Before the guest is answered: what it knows to be published has its line.
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
                .unknownEvent, "The catalogues have no operation of this name; Docs/events.md lists them.",
                field: "params.context.operation")
        }
        let report = try self.authorization.check(report, operation, of: guest)
        let verified = try self.verifier?.verify(report, operation: operation, instance: guest.instanceID)
        try self.limits.checkTime(of: report, issuedAt: verified?.issuedAt)
        let origin = NotificationOrigin(
            publisherID: self.publisherID, serverType: Self.serverType, serverIP: self.address ?? peer.localAddress)
        // What a guest says of rights is its own word, unless the control plane has signed it.
        let context = verified == nil ? report.context.withoutRights : report.context
        let notification: CheckedNotification
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
    /// To say `duplicate` would lose the outcome without a word.
    fileprivate static let conflict = RPCError(
        .invalidParameters,
        "params.message_id was sent with another outcome before, which stands; give each outcome an id of its own",
        field: "params.message_id")

    fileprivate static let operationWasEnded = refusedToken(
        "was used: another outcome, under another message_id, has ended its operation")

    /// For good: no more will be known of the other one, unless its own guest sends it again.
    fileprivate static let operationIsBound = refusedToken(
        "was used: another outcome of its operation, under another message_id, was on its way to the broker, which may "
            + "have it; only that one may be sent again")

    /// Retryable: the other one may fail, and then this one is as good.
    fileprivate static let operationIsBeingEnded = RPCError(
        .brokerUnavailable,
        "Another outcome of the operation of params.context.token is on its way to the broker; send this again later.",
        retryAfterMilliseconds: 1000)

    /// The answer to a driver's failure: enough for a guest to act on, nothing of the control plane's insides.
    fileprivate init(_ error: DriverError) {
        switch error.code {
        case .tooLarge:
            let limit = error.limitBytes
            let size = limit.map { " (\($0) bytes)" } ?? ""
            self.init(.tooLarge, "The notification is larger than the broker takes\(size).", limitBytes: limit)
        case .rateLimited:
            self.init(
                .rateLimited,
                "As many notifications of this guest wait for the broker as may of one; send this one again later.",
                retryAfterMilliseconds: 1000)
        case .unavailable:
            let problem =
                switch DriverName(rawValue: error.driver) {
                case .messaging?, .messagingv2?: "The broker has not confirmed the notification"
                case .log?: "The conductor's log driver cannot write the notification to standard output"
                default: "The conductor's driver \(error.driver.excerpt) cannot take the notification"
                }
            self.init(.brokerUnavailable, "\(problem); send it again later.", retryAfterMilliseconds: 1000)
        default:
            self.init(
                .internal, "The conductor cannot publish this notification; its operator finds why in its log.",
                retryAfterMilliseconds: 60_000)
        }
    }
}
