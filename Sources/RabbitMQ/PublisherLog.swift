// SPDX-License-Identifier: Apache-2.0

internal import DriverErrors
internal import Logging

/// The publisher's log messages: one line for each change of state, not one for each attempt.
struct PublisherLog {
    private let configuration: PublisherConfiguration
    private var logger: Logger
    /// Host and reason of the failures logged since the latest connection.
    private var failures: Set<String> = []
    /// Reasons for which the broker closed the channel that were logged since the latest connection.
    private var closures: Set<String> = []
    private var mismatches: Set<String> = []
    private var rejectedQueues: Set<String> = []

    init(configuration: PublisherConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        let ignored = configuration.transportURL.ignoredOptions
        if !ignored.isEmpty, !configuration.isForLargeMessages {
            logger.notice(
                "Ignored options in messaging.transport_url that only oslo.messaging uses",
                metadata: ["options": "\(ignored.joined(separator: ", "))"])
        }
    }

    mutating func connected(_ host: TransportURL.Host) {
        self.failures = []
        self.closures = []
        self.logger.info(
            self.configuration.isForLargeMessages
                ? "Opened a second connection to RabbitMQ for large messages" : "Connected to RabbitMQ",
            metadata: ["rabbitmq.host": "\(host.address)", "exchange": "\(self.configuration.exchange)"])
    }

    func closed(_ host: TransportURL.Host) {
        self.logger.info("Disconnected from RabbitMQ", metadata: ["rabbitmq.host": "\(host.address)"])
    }

    mutating func connectFailed(_ host: TransportURL.Host, _ error: BrokerError) {
        // Limits the memory, whatever texts brokers send.
        if self.failures.count >= 100 { self.failures.removeAll() }
        let isNew = self.failures.insert("\(host.address) \(error)").inserted
        self.logger.log(
            level: isNew ? .warning : .debug,
            "Failed to connect to RabbitMQ; retrying",
            metadata: [
                "rabbitmq.host": "\(host.address)", "reason": "\(error)", "setting": "messaging.transport_url",
            ])
    }

    func lost(_ host: TransportURL.Host, _ error: BrokerError) {
        self.logger.warning(
            "Lost the connection to RabbitMQ; reconnecting",
            metadata: ["rabbitmq.host": "\(host.address)", "reason": "\(error)"])
    }

    func blocked(_ host: TransportURL.Host, _ reason: String) {
        self.logger.warning(
            "RabbitMQ blocked publishing because of an alarm; free memory or disk space on the broker",
            metadata: ["rabbitmq.host": "\(host.address)", "reason": "\(reason)"])
    }

    func unblocked(_ host: TransportURL.Host) {
        self.logger.info("RabbitMQ unblocked publishing", metadata: ["rabbitmq.host": "\(host.address)"])
    }

    func returned(_ queue: String, _ reason: String) {
        self.logger.debug(
            "RabbitMQ returned a message; declaring its queue again",
            metadata: ["queue": "\(queue)", "reason": "\(reason)"])
    }

    mutating func channelClosed(_ reply: BrokerReply, sizeLimit: Int?) {
        // If the user may not write, every message closes the channel, so only new reasons are warnings. The set is
        // limited, whatever texts the broker sends.
        if self.closures.count >= 100 { self.closures.removeAll() }
        let isNew = self.closures.insert("\(reply.code) \(reply.text)").inserted
        self.logger.log(
            level: isNew ? .warning : .debug,
            sizeLimit == nil
                ? "RabbitMQ closed the channel; reopening it"
                : "RabbitMQ rejected a message as too large; rejecting messages above its limit from now on",
            metadata: ["exchange": "\(self.configuration.exchange)", "reason": "\(reply.code) \(reply.text)"])
    }

    mutating func mismatch(_ mismatch: BrokerConnection.Mismatch) {
        guard self.mismatches.insert("\(mismatch.kind.rawValue) \(mismatch.name)").inserted else { return }
        let asked =
            mismatch.kind == .exchange
            ? "topic, durable=\(self.configuration.isDurable)"
            : "queue_type=\(self.configuration.queueType.rawValue), durable=\(self.configuration.isDurable)"
        // An exchange of another type needs another setting: the name belongs to another service's exchange.
        let isOtherType = mismatch.kind == .exchange && mismatch.reply.text.contains("arg 'type'")
        let setting: String
        switch mismatch.kind {
        case .exchange: setting = isOtherType ? "messaging.exchange" : "messaging.durable"
        case .queue: setting = "messaging.durable or messaging.queue_type"
        }
        self.logger.warning(
            "Using an existing exchange or queue with other flags; set the setting to the value of the other services",
            metadata: [
                "\(mismatch.kind.rawValue)": "\(mismatch.name)",
                "asked": "\(asked)",
                "reason": "\(mismatch.reply.code) \(mismatch.reply.text)",
                "setting": "\(setting)",
            ])
    }

    mutating func declared(_ queue: String) {
        if self.rejectedQueues.remove(queue) != nil {
            self.logger.info("Declared a queue that RabbitMQ had rejected", metadata: ["queue": "\(queue)"])
        }
    }

    /// Logs a rejected declaration.
    ///
    /// - Returns: The error for senders to the queue.
    mutating func declarationRejected(_ queue: String, _ reply: BrokerReply, user: String) -> DriverError {
        let isNew = self.rejectedQueues.insert(queue).inserted
        let remedy =
            reply.code == BrokerReply.accessRefused
            ? "grant user \(user) the permissions configure and write on the exchange "
                + "\(self.configuration.exchange) and the queue \(queue), and read on the exchange, in the virtual host "
                + "\(self.configuration.transportURL.virtualHost)"
            : "check the exchange \(self.configuration.exchange) and the queue \(queue) in RabbitMQ"
        self.logger.log(
            level: isNew ? .error : .debug,
            "RabbitMQ rejected the setup of a queue, its exchange or its binding; retrying",
            metadata: ["queue": "\(queue)", "reason": "\(reply.code) \(reply.text)", "remedy": "\(remedy)"])
        return DriverError(
            .declarationRejected,
            "RabbitMQ rejected the setup of the queue \(queue), its exchange or its binding: \(reply.code) \(reply.text); \(remedy)"
        )
    }
}
