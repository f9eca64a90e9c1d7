// SPDX-License-Identifier: Apache-2.0

internal import CConductorRabbitMQ

extension BrokerConnection {
    /// An exchange or a queue that exists with other flags than those asked for.
    struct Mismatch: Sendable, Hashable {
        enum Kind: String, Sendable { case exchange, queue }
        var kind: Kind
        var name: String
        /// The broker's reply, which names the flag and both values.
        var reply: BrokerReply
    }

    enum Declaration {
        /// Messages can be sent to the queue. `mismatches` exist already and are used unchanged.
        case ready(mismatches: [Mismatch])
        case rejected(BrokerReply)
    }

    /// Declares the exchange (once per connection) and a queue, and binds the queue with its own name, as oslo does.
    func declare(_ queue: String) throws(BrokerError) -> Declaration {
        var mismatches: [Mismatch] = []
        // A second attempt, in case another client deletes the exchange or the queue in between.
        for isLast in [false, true] {
            mismatches = []
            var rejection = try self.declareExchange(&mismatches)
            if rejection == nil { rejection = try self.declareQueue(queue, &mismatches) }
            if let rejection {
                guard rejection.code == BrokerReply.notFound, !isLast else { return .rejected(rejection) }
                continue
            }
            self.request {
                _ = Self.withBytes(queue) { name in
                    amqp_queue_bind(self.state, Self.topology, name, self.exchange, name, amqp_empty_table)
                }
            }
            guard case .rejected(let rejection) = try self.reply(on: Self.topology) else { break }
            self.isExchangeDeclared = false
            guard rejection.code == BrokerReply.notFound, !isLast else { return .rejected(rejection) }
        }
        return .ready(mismatches: mismatches)
    }

    private func declareExchange(_ mismatches: inout [Mismatch]) throws(BrokerError) -> BrokerReply? {
        guard !self.isExchangeDeclared else { return nil }
        let durable: amqp_boolean_t = self.configuration.isDurable ? 1 : 0
        let rejection = try self.declareOrCheckExists { passive in
            amqp_exchange_declare(
                self.state, Self.topology, self.exchange, Self.constant("topic"), passive, durable, 0, 0,
                amqp_empty_table)
        } mismatch: { reply in
            mismatches.append(Mismatch(kind: .exchange, name: self.configuration.exchange, reply: reply))
        }
        self.isExchangeDeclared = rejection == nil
        return rejection
    }

    private func declareQueue(_ queue: String, _ mismatches: inout [Mismatch]) throws(BrokerError) -> BrokerReply? {
        let durable: amqp_boolean_t = self.configuration.isDurable ? 1 : 0
        var entry = amqp_table_entry_t()
        return try self.declareOrCheckExists { passive in
            _ = withUnsafeMutablePointer(to: &entry) { entry in
                let arguments =
                    self.configuration.queueType == .quorum ? conductor_amqp_quorum_arguments(entry) : amqp_empty_table
                return Self.withBytes(queue) { name in
                    amqp_queue_declare(self.state, Self.topology, name, passive, durable, 0, 0, arguments)
                }
            }
        } mismatch: { reply in
            mismatches.append(Mismatch(kind: .queue, name: queue, reply: reply))
        }
    }

    /// Declares an exchange or a queue. If the broker rejects that because it exists with other flags, declares it
    /// passively to make sure that it exists.
    ///
    /// - Returns: the broker's rejection; nil when it can be used.
    private func declareOrCheckExists(
        _ declare: (_ passive: amqp_boolean_t) -> Void, mismatch: (BrokerReply) -> Void
    ) throws(BrokerError) -> BrokerReply? {
        self.request { declare(0) }
        guard case .rejected(let rejection) = try self.reply(on: Self.topology) else { return nil }
        guard rejection.code == BrokerReply.preconditionFailed else { return rejection }
        self.request { declare(1) }
        if case .rejected(let second) = try self.reply(on: Self.topology) {
            return second
        }
        mismatch(rejection)
        return nil
    }
}
