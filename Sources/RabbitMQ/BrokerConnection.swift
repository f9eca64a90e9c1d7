// SPDX-License-Identifier: Apache-2.0

internal import CConductorRabbitMQ
internal import Glibc

/// A connection to one broker; the only type that calls librabbitmq.
///
/// Channel 1 publishes, in confirm mode; channel 2 declares. A rejected declaration closes its channel, so no
/// unconfirmed message is lost with it.
///
/// Not Sendable: librabbitmq requires all calls on one thread. After a call has thrown, drop the connection and make no
/// other call (an orderly close of a broken connection can block without limit in librabbitmq 0.11).
final class BrokerConnection {
    /// An event that the broker sends without a request.
    enum Event {
        case confirmed(tag: UInt64, multiple: Bool, positively: Bool)
        case returned(queue: String, body: [UInt8], reason: String)
        case blocked(reason: String)
        case unblocked
        /// The broker closed the publishing channel, which was answered. Call ``reopenPublishingChannel()`` next.
        case channelClosed(BrokerReply)
    }

    static let publishing: amqp_channel_t = 1
    static let topology: amqp_channel_t = 2

    let host: TransportURL.Host
    let configuration: PublisherConfiguration
    let state: amqp_connection_state_t
    let exchange: amqp_bytes_t
    /// Whether the exchange was declared on this connection and, as far as is known, still exists.
    var isExchangeDeclared = false
    private let watchdog: Watchdog
    private var properties = amqp_basic_properties_t()
    private var incomingReturn: IncomingReturn?

    private struct IncomingReturn {
        var queue: String
        var reason: String
        var missing: Int?
        var body: [UInt8] = []
    }

    /// The socket, for `poll`.
    var descriptor: Int32 { amqp_get_sockfd(self.state) }

    /// The negotiated heartbeat interval: the configured one, or the broker's if that is shorter. 0 means none.
    var heartbeatSeconds: Int { Int(amqp_get_heartbeat(self.state)) }

    /// Creates a handle that is not connected yet; ``open(_:configuration:watchdog:)`` connects it.
    init(
        host: TransportURL.Host, configuration: PublisherConfiguration, watchdog: Watchdog
    ) throws(BrokerError) {
        guard let state = amqp_new_connection() else {
            throw BrokerError(
                "there is not enough memory for a connection to RabbitMQ; free memory, or raise the process's limit")
        }
        self.state = state
        self.host = host
        self.configuration = configuration
        self.watchdog = watchdog
        self.exchange = configuration.exchange.withCString { amqp_bytes_malloc_dup(amqp_cstring_bytes($0)) }
        self.properties._flags = [
            AMQP_BASIC_CONTENT_TYPE_FLAG, AMQP_BASIC_CONTENT_ENCODING_FLAG, AMQP_BASIC_HEADERS_FLAG,
            AMQP_BASIC_DELIVERY_MODE_FLAG, AMQP_BASIC_PRIORITY_FLAG,
        ].reduce(0) { $0 | amqp_flags_t($1) }
        self.properties.content_type = Self.constant("application/json")
        self.properties.content_encoding = Self.constant("utf-8")
        self.properties.headers = amqp_empty_table
        self.properties.delivery_mode = 2
        self.properties.priority = 0
    }

    deinit {
        self.watchdog.release()
        // Closes the socket, and sends nothing to the broker.
        amqp_destroy_connection(self.state)
        amqp_bytes_free(self.exchange)
    }

    // MARK: Publishing

    /// Publishes a mandatory message. Its delivery tag is one more than that of the previous message.
    func publish(_ message: OutgoingMessage) throws(BrokerError) {
        var properties = self.properties
        let status = Self.withBytes(message.queue) { key in
            message.body.withUnsafeBytes { body in
                Self.withHeaders(guest: message.sender?.name ?? "") { headers in
                    properties.headers = headers
                    return self.watchdog.guarding {
                        amqp_basic_publish(
                            self.state, Self.publishing, self.exchange, key, 1, 0, &properties,
                            amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress)))
                    }
                }
            }
        }
        guard status == AMQP_STATUS_OK.rawValue else { throw BrokerError(lost: status) }
    }

    /// Sets or clears `TCP_CORK`. While it is set, the kernel sends full packets only; otherwise the three small writes
    /// for each message make three packets.
    func cork(_ isCorked: Bool) {
        var value: Int32 = isCorked ? 1 : 0
        _ = setsockopt(
            self.descriptor, Int32(IPPROTO_TCP), TCP_CORK, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    func reopenPublishingChannel() throws(BrokerError) {
        self.isExchangeDeclared = false
        self.incomingReturn = nil
        try self.openPublishingChannel()
    }

    func openPublishingChannel() throws(BrokerError) {
        self.request { amqp_channel_open(self.state, Self.publishing) }
        try self.requireReply()
        self.request { amqp_confirm_select(self.state, Self.publishing) }
        try self.requireReply()
    }

    // MARK: Reading

    /// Whether the library has buffered frames, which `poll` does not see.
    var hasBufferedInput: Bool {
        amqp_frames_enqueued(self.state) != 0 || amqp_data_in_buffer(self.state) != 0
    }

    /// Reads all input that has arrived, without waiting, and sends a heartbeat if one is due.
    func drain(_ handle: (Event) -> Void) throws(BrokerError) {
        while true {
            // Zeroed each time: when the library returns early, the frame could keep the type of the previous one.
            var frame = amqp_frame_t()
            var noTime = timeval(tv_sec: 0, tv_usec: 0)
            let status = self.watchdog.guarding { amqp_simple_wait_frame_noblock(self.state, &frame, &noTime) }
            if status == AMQP_STATUS_TIMEOUT.rawValue { break }
            guard status == AMQP_STATUS_OK.rawValue else { throw BrokerError(lost: status) }
            if let event = try self.event(of: frame) { handle(event) }
        }
        // The decoded data has been copied.
        amqp_maybe_release_buffers(self.state)
    }

    private func event(of frame: amqp_frame_t) throws(BrokerError) -> Event? {
        switch Int32(frame.frame_type) {
        case AMQP_FRAME_METHOD:
            return try self.event(of: frame.payload.method, channel: frame.channel)
        case AMQP_FRAME_HEADER:
            self.incomingReturn?.missing = Int(clamping: frame.payload.properties.body_size)
            return self.takeReturnIfComplete()
        case AMQP_FRAME_BODY:
            let fragment = frame.payload.body_fragment
            self.incomingReturn?.body.append(
                contentsOf: UnsafeRawBufferPointer(start: fragment.bytes, count: fragment.len))
            self.incomingReturn?.missing? -= fragment.len
            return self.takeReturnIfComplete()
        default:
            return nil
        }
    }

    private func takeReturnIfComplete() -> Event? {
        guard let complete = self.incomingReturn, let missing = complete.missing, missing <= 0 else { return nil }
        self.incomingReturn = nil
        return .returned(queue: complete.queue, body: complete.body, reason: complete.reason)
    }

    private func event(of method: amqp_method_t, channel: amqp_channel_t) throws(BrokerError) -> Event? {
        guard let decoded = method.decoded else { return nil }
        switch method.id {
        case AMQP_BASIC_ACK_METHOD:
            let ack = decoded.load(as: amqp_basic_ack_t.self)
            return .confirmed(tag: ack.delivery_tag, multiple: ack.multiple != 0, positively: true)
        case AMQP_BASIC_NACK_METHOD:
            let nack = decoded.load(as: amqp_basic_nack_t.self)
            return .confirmed(tag: nack.delivery_tag, multiple: nack.multiple != 0, positively: false)
        case AMQP_BASIC_RETURN_METHOD:
            let returned = decoded.load(as: amqp_basic_return_t.self)
            self.incomingReturn = IncomingReturn(
                queue: Self.string(returned.routing_key),
                reason: "\(returned.reply_code) \(Self.string(returned.reply_text))")
            return nil
        case AMQP_CONNECTION_BLOCKED_METHOD:
            return .blocked(reason: Self.string(decoded.load(as: amqp_connection_blocked_t.self).reason))
        case AMQP_CONNECTION_UNBLOCKED_METHOD:
            return .unblocked
        case AMQP_CHANNEL_CLOSE_METHOD:
            let close = decoded.load(as: amqp_channel_close_t.self)
            let reply = BrokerReply(code: close.reply_code, text: Self.string(close.reply_text))
            try self.confirmChannelClosed(channel)
            guard channel == Self.publishing else {
                self.request { amqp_channel_open(self.state, channel) }
                try self.requireReply()
                return nil
            }
            return .channelClosed(reply)
        case AMQP_CONNECTION_CLOSE_METHOD:
            let close = decoded.load(as: amqp_connection_close_t.self)
            let reply = BrokerReply(code: close.reply_code, text: Self.string(close.reply_text))
            var closeOK = amqp_connection_close_ok_t()
            _ = self.watchdog.guarding { amqp_send_method(self.state, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &closeOK) }
            throw BrokerError(closed: reply)
        default:
            return nil
        }
    }

    /// Starts the watchdog for this connection: from now on it ends calls that hang.
    func watch() throws(BrokerError) {
        guard self.watchdog.watch(self.descriptor) else {
            // Without the watchdog a call can hang without limit.
            throw BrokerError(
                "the process has reached its limit of file descriptors; raise it (LimitNOFILE, ulimit -n)")
        }
    }

    /// Makes one request under the watchdog: librabbitmq limits the wait for the answer, but not the time to send.
    func request(_ call: () -> Void) {
        self.watchdog.guarding(call)
    }

    // MARK: Closing

    /// Closes the connection by an AMQP request, and waits for its answer as long as for any other. Call it only on a
    /// connection that works.
    func close() {
        self.request { _ = amqp_connection_close(self.state, AMQP_REPLY_SUCCESS) }
    }

    // MARK: Requests

    /// The result of a request on a channel.
    enum Reply {
        case ok
        /// The broker rejected the request and closed the channel, which has been reopened.
        case rejected(BrokerReply)
    }

    /// Returns the result of the latest request, which was made on `channel`.
    func reply(on channel: amqp_channel_t) throws(BrokerError) -> Reply {
        let reply = amqp_get_rpc_reply(self.state)
        guard reply.reply_type != AMQP_RESPONSE_NORMAL else { return .ok }
        guard let rejection = Self.serverReply(reply) else { throw BrokerError(lost: reply.library_error) }
        guard reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD else { throw BrokerError(closed: rejection) }
        try self.confirmChannelClosed(channel)
        self.request { amqp_channel_open(self.state, channel) }
        try self.requireReply()
        return .rejected(rejection)
    }

    /// Throws unless the latest request has succeeded.
    func requireReply() throws(BrokerError) {
        let reply = amqp_get_rpc_reply(self.state)
        guard reply.reply_type != AMQP_RESPONSE_NORMAL else { return }
        if let rejection = Self.serverReply(reply) { throw BrokerError(closed: rejection) }
        throw BrokerError(lost: reply.library_error)
    }

    /// Returns the broker's reply if the broker rejected the request; nil otherwise. A copy, because the library's
    /// memory pool owns the original.
    static func serverReply(_ reply: amqp_rpc_reply_t) -> BrokerReply? {
        guard reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION, let decoded = reply.reply.decoded else { return nil }
        switch reply.reply.id {
        case AMQP_CHANNEL_CLOSE_METHOD:
            let close = decoded.load(as: amqp_channel_close_t.self)
            return BrokerReply(code: close.reply_code, text: Self.string(close.reply_text))
        case AMQP_CONNECTION_CLOSE_METHOD:
            let close = decoded.load(as: amqp_connection_close_t.self)
            return BrokerReply(code: close.reply_code, text: Self.string(close.reply_text))
        default:
            return nil
        }
    }

    private func confirmChannelClosed(_ channel: amqp_channel_t) throws(BrokerError) {
        var closeOK = amqp_channel_close_ok_t()
        let status = self.watchdog.guarding {
            amqp_send_method(self.state, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &closeOK)
        }
        guard status == AMQP_STATUS_OK.rawValue else { throw BrokerError(lost: status) }
    }

    // MARK: Bytes

    static func constant(_ text: StaticString) -> amqp_bytes_t {
        amqp_bytes_t(len: text.utf8CodeUnitCount, bytes: UnsafeMutableRawPointer(mutating: text.utf8Start))
    }

    /// Calls `body` with the text's bytes, which are valid within the closure only.
    static func withBytes<T>(_ text: String, _ body: (amqp_bytes_t) -> T) -> T {
        var text = text
        return text.withUTF8 {
            body(amqp_bytes_t(len: $0.count, bytes: UnsafeMutableRawPointer(mutating: $0.baseAddress)))
        }
    }

    /// Calls `body` with a table that holds the header of the guest, or an empty table if the name is empty. The table
    /// is valid within the closure only.
    private static func withHeaders<T>(guest name: String, _ body: (amqp_table_t) -> T) -> T {
        guard !name.isEmpty else { return body(amqp_empty_table) }
        return self.withBytes(name) { bytes in
            var entry = amqp_table_entry_t()
            entry.key = self.constant(OutgoingMessage.guestHeader)
            entry.value.kind = UInt8(AMQP_FIELD_KIND_UTF8.rawValue)
            entry.value.value.bytes = bytes
            return withUnsafeMutablePointer(to: &entry) { body(amqp_table_t(num_entries: 1, entries: $0)) }
        }
    }

    static func string(_ bytes: amqp_bytes_t) -> String {
        String(decoding: UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len), as: UTF8.self)
    }
}
