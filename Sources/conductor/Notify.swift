// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import Logging
import Notifications
import Notifier
import Settings
import StandardIO

/// `conductor notify`: publishes one event, for scripts and cron.
struct Notify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Publish an event of the catalogues, and return when every driver has confirmed it.",
        discussion: """
            The event's fields come from --payload; those of an operation (dbaas.database_create.end) from --context too, and \
            then --payload holds the fields that its end adds, or an error's message and exception. If each database, user or \
            grant has an event of its own, its field may be a list. `conductor events EVENT` prints an event's fields.

            Each event's message_id and type are printed; with the log driver, only its lines. The exit status is 65 if \
            payload or context cannot be used, 69 if the broker has not confirmed in time.
            """)

    @OptionGroup var options: ConfigurationOptions

    @Argument(help: ArgumentHelp("Publish an event of this type, such as trove.instance.exists.", valueName: "event"))
    var event: String

    @Option(
        help: ArgumentHelp("Read the fields as a JSON object from this file; - is standard input.", valueName: "file"))
    var payload: String?

    @Option(help: ArgumentHelp("Read the operation's context from this file; - is standard input.", valueName: "file"))
    var context: String?

    @Option(
        help: ArgumentHelp(
            "Set the kind of service unless the payload does; overrides the context's; by default api.",
            valueName: "type"))
    var serverType: String?

    @Option(
        name: .customLong("server-ip"),
        help: ArgumentHelp(
            "Set the service's address unless the payload does; overrides the context's.", valueName: "address"))
    var serverIP: String?

    @Option(
        name: .customLong("publisher-id"),
        help: ArgumentHelp(
            "Set the publisher_id; by default the kind of service (taskmanager for an event of no operation), a dot, the host.",
            valueName: "service.host"))
    var publisherID: String?

    @Option(
        name: .customLong("message-id"),
        help: ArgumentHelp(
            "Send an event again with this identifier; give it once for each event.", valueName: "uuid"),
        transform: { text in
            guard let messageID = MessageID(text) else { throw ValidationError("\(text) is not a UUID.") }
            return messageID
        })
    var messageIDs: [MessageID] = []

    @Option(
        help: ArgumentHelp("Set the event's time, such as 2015-06-28T05:54:57Z; by default now.", valueName: "time"),
        transform: { text in
            guard let timestamp = NotificationTimestamp(text) else {
                throw ValidationError("\(text) is not a time (RFC 3339) such as 2015-06-28T05:54:57Z.")
            }
            return timestamp
        })
    var timestamp: NotificationTimestamp?

    func validate() throws {
        guard self.payload != nil || self.context != nil else {
            throw ValidationError("Give the event's fields with --payload, or its operation's context with --context.")
        }
        guard self.payload != "-" || self.context != "-" else {
            throw ValidationError("Only one of --payload and --context can be standard input.")
        }
    }

    func run() async throws {
        // A reader that closes our output must not end this process before the event is sent.
        _ = signal(SIGPIPE, SIG_IGN)
        try await ConductorExit.mapErrors {
            let settings = try await self.options.load(ConductorSettings.notifySchema)
            let catalogues = try settings.catalogues()
            // Errors of the configuration are reported before any file is read, because a file may be standard input.
            let names = try settings.drivers()
            let notifier = try Notifier(
                names: names, messaging: MessagingConfiguration(settings), redaction: Redaction(settings),
                logger: try Self.logger(settings))
            let request = try self.request(host: try settings.publisherHost())
            let events = try EventDataError.describing(catalogues) { try request.events(in: catalogues) }
            Self.warn(of: events)
            try await Self.send(
                events.filter(\.isPublished), through: notifier,
                retryTimeout: try settings.duration("messaging.publish_timeout"), printing: !names.contains(.log))
        }
    }

    /// Returns the request that the options and their files describe.
    private func request(host: String) throws -> EventRequest {
        let context = try self.context.map { path in
            do {
                return try NotificationContext(
                    try JSONInputFile(option: "--context", path: path).object(), path: "context")
            } catch let error as FieldError {
                throw EventDataError(error)
            }
        }
        return EventRequest(
            eventType: self.event, context: context,
            payload: try self.payload.map { try JSONInputFile(option: "--payload", path: $0).object() },
            publisherID: self.publisherID, serverType: self.serverType, serverIP: self.serverIP, host: host,
            timestamp: self.timestamp ?? .now(), messageIDs: self.messageIDs)
    }

    /// Returns a logger for a script: at the level `info`, the default, it logs only warnings and errors.
    private static func logger(_ settings: Settings) throws -> Logger {
        var logger = Logger(label: "conductor") { StreamLogHandler.standardError(label: $0) }
        let level = Logger.Level(rawValue: try settings.string("log.level")) ?? .info
        logger.logLevel = level == .info ? .warning : level
        return logger
    }

    private static func warn(of events: [EventRequest.Checked]) {
        guard let event = events.first else { return }
        if !event.isPublished {
            ConductorExit.printMessage("\(event.message.eventType) is switched off: nothing is sent.")
        }
        ConductorExit.warn(undeclared: event.undeclaredFields, of: event.message.eventType)
    }

    /// Sends the events one after another, and stops at the first that a driver does not confirm.
    private static func send(
        _ events: [EventRequest.Checked], through notifier: Notifier, retryTimeout: Duration, printing: Bool
    ) async throws {
        guard !events.isEmpty else { return }
        let connection = Task { try await notifier.run() }
        var failure: EventDeliveryError?
        for (index, event) in events.enumerated() {
            do {
                try await notifier.emit(event.message, retryTimeout: retryTimeout)
            } catch {
                failure = EventDeliveryError(error, events: events, sent: index)
                break
            }
            if printing {
                // The event has been sent, even if this line cannot be printed.
                try? StandardStreams.print("\(event.message.messageID) \(event.message.eventType)\n")
            }
        }
        // Every event that was sent has been answered.
        connection.cancel()
        _ = await connection.result
        if let failure { throw failure }
    }
}

extension ConductorExit {
    /// Warns of the fields that were left out of an event.
    static func warn(undeclared names: [String], of event: String) {
        guard !names.isEmpty else { return }
        let shown = names.prefix(8).map(\.excerpt).joined(separator: ", ")
        let more = names.count > 8 ? " and \(names.count - 8) more" : ""
        Self.printMessage("\(event) does not declare \(shown)\(more): left out.")
    }
}
