// SPDX-License-Identifier: Apache-2.0

/// The query of a transport URL: the options for TLS of oslo's `[oslo_messaging_rabbit]`.
///
/// An option that oslo does not know is rejected, as oslo does: `sll=1` must not silently mean an unencrypted
/// connection.
struct TransportURLOptions {
    let ignored: [String]
    private let values: [String: String]

    private static let used: Set<String> = [
        "ssl", "ssl_ca_file", "ssl_cert_file", "ssl_key_file", "ssl_version", "ssl_enforce_hostname_verification",
    ]

    /// The options that oslo.messaging 18 accepts in the URL and this program does not need.
    private static let known: Set<String> = [
        "amqp_auto_delete", "amqp_durable_queues", "conn_pool_min_size", "conn_pool_ttl", "direct_mandatory_flag",
        "enable_cancel_on_failover", "heartbeat_in_pthread", "heartbeat_rate", "heartbeat_timeout_threshold",
        "hostname",
        "kombu_compression", "kombu_failover_strategy", "kombu_missing_consumer_retry_timeout", "kombu_reconnect_delay",
        "kombu_reconnect_splay", "processname", "rabbit_ha_queues", "rabbit_interval_max", "rabbit_login_method",
        "rabbit_qos_prefetch_count", "rabbit_quorum_delivery_limit", "rabbit_quorum_max_memory_bytes",
        "rabbit_quorum_max_memory_length", "rabbit_quorum_queue", "rabbit_retry_backoff", "rabbit_retry_interval",
        "rabbit_stream_fanout", "rabbit_transient_queues_ttl", "rabbit_transient_quorum_queue", "rpc_conn_pool_size",
        "ssl_enforce_fips_mode", "use_queue_manager",
    ]

    init(query: Substring) throws(TransportURLError) {
        var values: [String: String] = [:]
        var ignored: [String] = []
        for pair in query.split(separator: "&") {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = TransportURLParts.percentDecoded(halves[0], plusIsSpace: true),
                let value = TransportURLParts.percentDecoded(halves.count > 1 ? halves[1] : "", plusIsSpace: true),
                !value.utf8.contains(0)
            else {
                throw TransportURLError(.option, "an option after the ? is not UTF-8, or contains a NUL; correct it")
            }
            if Self.known.contains(name) {
                ignored.append(name)
            } else if Self.used.contains(name) {
                guard values.updateValue(value, forKey: name) == nil else {
                    throw TransportURLError(.option, "has the option \(name) twice; remove one")
                }
            } else {
                // The name is not quoted: it may be the end of a password with an unencoded ?.
                throw TransportURLError(
                    .option,
                    "has an option after the ? that oslo.messaging does not know; the options used here are "
                        + "\(Self.used.sorted().joined(separator: ", ")) \(TransportURLParts.encodingHint)")
            }
        }
        self.values = values.filter { !$0.value.isEmpty }
        self.ignored = ignored
    }

    /// Whether the query has an explicit `ssl=0`.
    var disablesTLS: Bool { (try? self.boolean("ssl")) == false }

    func tls(impliedByScheme: Bool) throws(TransportURLError) -> TransportURL.TLS? {
        let asked = try self.boolean("ssl")
        guard asked ?? impliedByScheme else {
            if impliedByScheme {
                throw TransportURLError(
                    .option, "has both amqps:// and ssl=0; use amqp:// for an unencrypted connection")
            }
            if let name = self.values.keys.sorted().first(where: { $0.hasPrefix("ssl_") }) {
                throw TransportURLError(.option, "has \(name), but the connection is not encrypted; add ssl=1")
            }
            return nil
        }
        switch self.values["ssl_version"]?.lowercased() {
        case nil, "sslv23", "tlsv1_2", "tlsv1_3": break
        default:
            throw TransportURLError(.option, "ssl_version must be TLSv1_2 or absent; older versions are not supported")
        }
        guard self.values["ssl_cert_file"] != nil || self.values["ssl_key_file"] == nil else {
            throw TransportURLError(.option, "has ssl_key_file without ssl_cert_file; add ssl_cert_file")
        }
        return TransportURL.TLS(
            caFile: self.values["ssl_ca_file"],
            certificateFile: self.values["ssl_cert_file"],
            keyFile: self.values["ssl_key_file"],
            verifiesHostname: try self.boolean("ssl_enforce_hostname_verification") ?? true)
    }

    private func boolean(_ name: String) throws(TransportURLError) -> Bool? {
        switch self.values[name]?.lowercased() {
        case nil: nil
        case "1", "true", "yes", "on": true
        case "0", "false", "no", "off": false
        default: throw TransportURLError(.option, "\(name) must be true or false")
        }
    }
}
