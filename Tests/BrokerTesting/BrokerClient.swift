// SPDX-License-Identifier: Apache-2.0

internal import CConductorRabbitMQ
internal import Dispatch

/// A plain AMQP client for tests: reads messages, and creates and deletes exchanges and queues on the broker.
///
/// Each call runs on the client's own dispatch queue, over one connection, which is opened again after an error.
/// @unchecked: `connection` is accessed on `queue` only.
package final class BrokerClient: @unchecked Sendable {
    private let broker: TestBroker
    private let user: (name: String, password: String)
    private let queue = DispatchQueue(label: "test-broker-client")
    private var connection: Connection?

    /// - Parameter user: the broker's user; nil for the administrator.
    package init(_ broker: TestBroker, user: (name: String, password: String)? = nil) {
        self.broker = broker
        self.user = user ?? (broker.user, broker.password)
    }

    /// Takes the next message from a queue; nil if there is none.
    package func get(_ queue: String) async throws -> ReceivedMessage? {
        try await self.run { try $0.get(queue) }
    }

    /// Takes all messages from a queue.
    package func getAll(_ queue: String) async throws -> [ReceivedMessage] {
        try await self.run { connection in
            var messages: [ReceivedMessage] = []
            while let message = try connection.get(queue) { messages.append(message) }
            return messages
        }
    }

    /// Returns the number of messages in a queue, which must exist.
    package func count(_ queue: String) async throws -> Int {
        try await self.run { connection in
            let ok = connection.withBytes(queue) {
                amqp_queue_declare(connection.state, 1, $0, 1, 0, 0, 0, amqp_empty_table)
            }
            try connection.check("queue.declare passive \(queue)")
            return Int(ok?.pointee.message_count ?? 0)
        }
    }

    package func purge(_ queue: String) async throws {
        try await self.run { connection in
            _ = connection.withBytes(queue) { amqp_queue_purge(connection.state, 1, $0) }
            try connection.check("queue.purge \(queue)")
        }
    }

    /// - Parameter ifEmpty: whether to throw, and keep the queue, if it has messages.
    package func deleteQueue(_ queue: String, ifEmpty: Bool = false) async throws {
        try await self.run { connection in
            _ = connection.withBytes(queue) { amqp_queue_delete(connection.state, 1, $0, 0, ifEmpty ? 1 : 0) }
            try connection.check("queue.delete \(queue)")
        }
    }

    package func deleteExchange(_ exchange: String) async throws {
        try await self.run { connection in
            _ = connection.withBytes(exchange) { amqp_exchange_delete(connection.state, 1, $0, 0) }
            try connection.check("exchange.delete \(exchange)")
        }
    }

    package func declareExchange(_ exchange: String, type: String = "topic", durable: Bool) async throws {
        try await self.run { connection in
            _ = connection.withBytes(exchange) { exchange in
                connection.withBytes(type) { type in
                    amqp_exchange_declare(
                        connection.state, 1, exchange, type, 0, durable ? 1 : 0, 0, 0, amqp_empty_table)
                }
            }
            try connection.check("exchange.declare \(exchange)")
        }
    }

    package func declareQueue(_ queue: String, durable: Bool) async throws {
        try await self.run { connection in
            _ = connection.withBytes(queue) {
                amqp_queue_declare(connection.state, 1, $0, 0, durable ? 1 : 0, 0, 0, amqp_empty_table)
            }
            try connection.check("queue.declare \(queue)")
        }
    }

    /// Binds a queue to an exchange.
    package func bind(_ queue: String, to exchange: String, key: String) async throws {
        try await self.run { connection in
            _ = connection.withBytes(queue) { queue in
                connection.withBytes(exchange) { exchange in
                    connection.withBytes(key) { key in
                        amqp_queue_bind(connection.state, 1, queue, exchange, key, amqp_empty_table)
                    }
                }
            }
            try connection.check("queue.bind \(queue)")
        }
    }

    private func run<T: Sendable>(_ body: @escaping @Sendable (Connection) throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            self.queue.async {
                continuation.resume(
                    with: Result {
                        let connection = try self.connection ?? Connection(self.broker, self.user)
                        self.connection = nil
                        let result = try body(connection)
                        // Stored only after success: an AMQP error closes the channel.
                        self.connection = connection
                        return result
                    })
            }
        }
    }
}

/// A librabbitmq connection with one channel.
private final class Connection {
    let state: amqp_connection_state_t

    init(_ broker: TestBroker, _ user: (name: String, password: String)) throws {
        guard let state = amqp_new_connection() else { throw TestBrokerError("amqp_new_connection failed") }
        self.state = state
        var timeout = timeval(tv_sec: 10, tv_usec: 0)
        amqp_set_rpc_timeout(state, &timeout)
        guard let socket = amqp_tcp_socket_new(state),
            amqp_socket_open_noblock(socket, "127.0.0.1", Int32(broker.port), &timeout) == AMQP_STATUS_OK.rawValue
        else { throw TestBrokerError("cannot connect to the test broker on port \(broker.port)") }
        let login = conductor_amqp_login(state, "/", 0, user.name, user.password, "tests", "tests")
        guard login.reply_type == AMQP_RESPONSE_NORMAL else {
            throw TestBrokerError("cannot log in to the test broker")
        }
        amqp_channel_open(state, 1)
        try self.check("channel.open")
    }

    deinit {
        amqp_destroy_connection(self.state)
    }

    func get(_ queue: String) throws -> ReceivedMessage? {
        amqp_maybe_release_buffers(self.state)
        let reply = self.withBytes(queue) { amqp_basic_get(self.state, 1, $0, 1) }
        try self.check("basic.get \(queue)", reply)
        guard reply.reply.id == AMQP_BASIC_GET_OK_METHOD, let decoded = reply.reply.decoded else { return nil }
        let ok = decoded.load(as: amqp_basic_get_ok_t.self)
        let (exchange, key) = (self.string(ok.exchange), self.string(ok.routing_key))
        var message = amqp_message_t()
        try self.check("basic.get \(queue), its body", amqp_read_message(self.state, 1, &message, 0))
        defer { amqp_destroy_message(&message) }
        return ReceivedMessage(
            exchange: exchange, routingKey: key, redelivered: ok.redelivered != 0,
            properties: self.properties(message.properties),
            body: Array(UnsafeRawBufferPointer(start: message.body.bytes, count: message.body.len)))
    }

    private func properties(_ raw: amqp_basic_properties_t) -> ReceivedMessage.Properties {
        func has(_ flag: Int32) -> Bool { raw._flags & amqp_flags_t(flag) != 0 }
        var properties = ReceivedMessage.Properties()
        if has(AMQP_BASIC_CONTENT_TYPE_FLAG) { properties.contentType = self.string(raw.content_type) }
        if has(AMQP_BASIC_CONTENT_ENCODING_FLAG) { properties.contentEncoding = self.string(raw.content_encoding) }
        if has(AMQP_BASIC_HEADERS_FLAG) {
            let entries = (0..<Int(raw.headers.num_entries)).map { raw.headers.entries[$0] }
            properties.headers = entries.map { self.string($0.key) }
            for entry in entries where entry.value.kind == UInt8(AMQP_FIELD_KIND_UTF8.rawValue) {
                properties.headerTexts[self.string(entry.key)] = self.string(entry.value.value.bytes)
            }
        }
        if has(AMQP_BASIC_DELIVERY_MODE_FLAG) { properties.deliveryMode = raw.delivery_mode }
        if has(AMQP_BASIC_PRIORITY_FLAG) { properties.priority = raw.priority }
        for (flag, name) in [
            (AMQP_BASIC_CORRELATION_ID_FLAG, "correlation_id"), (AMQP_BASIC_REPLY_TO_FLAG, "reply_to"),
            (AMQP_BASIC_EXPIRATION_FLAG, "expiration"), (AMQP_BASIC_MESSAGE_ID_FLAG, "message_id"),
            (AMQP_BASIC_TIMESTAMP_FLAG, "timestamp"), (AMQP_BASIC_TYPE_FLAG, "type"),
            (AMQP_BASIC_USER_ID_FLAG, "user_id"), (AMQP_BASIC_APP_ID_FLAG, "app_id"),
            (AMQP_BASIC_CLUSTER_ID_FLAG, "cluster_id"),
        ] where has(flag) {
            properties.others.append(name)
        }
        return properties
    }

    func check(_ what: String) throws { try self.check(what, amqp_get_rpc_reply(self.state)) }

    private func check(_ what: String, _ reply: amqp_rpc_reply_t) throws {
        guard reply.reply_type != AMQP_RESPONSE_NORMAL else { return }
        if reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION, reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD,
            let close = reply.reply.decoded?.load(as: amqp_channel_close_t.self)
        {
            throw TestBrokerError("\(what): \(close.reply_code) \(self.string(close.reply_text))")
        }
        throw TestBrokerError("\(what): \(String(cString: amqp_error_string2(reply.library_error)))")
    }

    func withBytes<T>(_ text: String, _ body: (amqp_bytes_t) -> T) -> T {
        var text = text
        return text.withUTF8 {
            body(amqp_bytes_t(len: $0.count, bytes: UnsafeMutableRawPointer(mutating: $0.baseAddress)))
        }
    }

    private func string(_ bytes: amqp_bytes_t) -> String {
        String(decoding: UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len), as: UTF8.self)
    }
}
