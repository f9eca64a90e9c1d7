package import ConductorRPC
package import Logging
package import Notifications
package import Notifier

/// Turns what a guest reports into a notification, and answers once every driver vouches for it.
package struct Relay: RPCRequestHandler {
    private let notifier: Notifier
    private let catalogues: Catalogues
    private let publisherID: String
    private let counters: RelayCounters
    private let logger: Logger

    /// What the relay says of itself in `server_type`.
    package static let serverType = "conductor"

    /// - Parameters:
    ///   - notifier: where notifications go.
    ///   - catalogues: the operations that may be reported.
    ///   - publisherID: `<service>.<host>`.
    ///   - counters: where the relay counts what it does.
    ///   - logger: told what goes wrong behind the relay; guests are told less.
    package init(
        notifier: Notifier, catalogues: Catalogues, publisherID: String, counters: RelayCounters = RelayCounters(),
        logger: Logger
    ) {
        self.notifier = notifier
        self.catalogues = catalogues
        self.publisherID = publisherID
        self.counters = counters
        self.logger = logger
    }

    package func handle(_ call: RPCCall, from peer: RPCPeer, completion: @escaping @Sendable (RPCResult) -> Void) {
        guard peer.certificate != nil else {
            completion(.failure(RPCError(.unauthenticated, "The connection proved no identity.")))
            return
        }
        switch call {
        case .ping: completion(.success(.pong(version: RPCProtocol.version)))
        case .notify(let report): self.relay(report, from: peer, completion: completion)
        }
    }

    private func relay(
        _ report: OutcomeReport, from peer: RPCPeer, completion: @escaping @Sendable (RPCResult) -> Void
    ) {
        let notification: NotificationMessage?
        do throws(RPCError) {
            notification = try self.notification(of: report, from: peer)
        } catch {
            completion(.failure(error))
            return
        }
        guard let notification else {
            self.counters.disabled()
            completion(.success(.taken(report.messageID, .disabled)))
            return
        }
        // Of the report only what is needed: what the guest said besides it must not lie here until the broker confirms.
        self.notifier.emit(notification) { [logger, messageID = report.messageID] result in
            switch result {
            case .success: completion(.success(.taken(messageID, .published)))
            case .failure(let error):
                // What is refused for good is the operator's to mend, and the guest is told to ask for this line.
                logger.log(
                    level: error.code == .refused ? .error : .debug, "A notification was not published",
                    metadata: ["message_id": "\(messageID)", "error": "\(error)"])
                completion(.failure(RPCError(error)))
            }
        }
    }

    /// - Returns: nil when the operator has switched the event off.
    private func notification(of report: OutcomeReport, from peer: RPCPeer) throws(RPCError) -> NotificationMessage? {
        guard let operation = self.catalogues.operation(report.context.operation) else {
            throw RPCError(
                .unknownEvent, "The catalogues have no operation of this name; Docs/events.md lists them.",
                field: "params.context.operation")
        }
        let origin = NotificationOrigin(
            publisherID: self.publisherID, serverType: Self.serverType, serverIP: peer.localAddress)
        let notification: CheckedNotification
        do {
            notification = try operation.notification(
                of: report.outcome, context: report.context, origin: origin, messageID: report.messageID,
                timestamp: report.timestamp)
        } catch {
            throw RPCError(FieldError(field: "params.\(error.field)", problem: error.problem))
        }
        if !notification.undeclaredFields.isEmpty {
            self.counters.dropped(
                notification.undeclaredFields.count, of: "\(operation.catalogue.service).\(operation.definition.key)")
            self.logger.debug(
                "Fields that the event does not declare were left out",
                metadata: [
                    "event_type": "\(notification.message.eventType)",
                    "fields": "\(notification.undeclaredFields.prefix(8).map(\.excerpt).joined(separator: ", "))",
                ])
        }
        return operation.isPublished(report.outcome.phase) ? notification.message : nil
    }
}

extension RPCError {
    /// What a guest is told of a driver's failure: enough to act on, nothing of the control plane's insides.
    fileprivate init(_ error: DriverError) {
        switch error.code {
        case .tooLarge:
            let limit = error.limitBytes
            let size = limit.map { " (\($0) bytes)" } ?? ""
            self.init(.tooLarge, "The notification is larger than the broker takes\(size).", limitBytes: limit)
        case .unavailable:
            self.init(
                .brokerUnavailable, "The broker has not confirmed the notification; send it again later.",
                retryAfterMilliseconds: 1000)
        default:
            self.init(
                .internal, "The conductor cannot publish this notification; its operator finds why in its log.",
                retryAfterMilliseconds: 60_000)
        }
    }
}
