// SPDX-License-Identifier: Apache-2.0

internal import CConductorRabbitMQ
internal import Glibc
import SecureFiles
import Timing

extension BrokerConnection {
    /// Connects, logs in and opens both channels. Blocks for at most three times the configured connect timeout plus
    /// three times the timeout of a request (``NameResolver`` explains when it can take longer).
    static func open(
        _ host: TransportURL.Host, configuration: PublisherConfiguration, watchdog: Watchdog
    ) throws(BrokerError) -> BrokerConnection {
        try Self.find(host, configuration)
        let connection = try BrokerConnection(host: host, configuration: configuration, watchdog: watchdog)
        try connection.openSocket()
        try connection.logIn()
        connection.request { amqp_channel_open(connection.state, Self.topology) }
        try connection.requireReply()
        try connection.openPublishingChannel()
        return connection
    }

    private static func find(
        _ host: TransportURL.Host, _ configuration: PublisherConfiguration
    ) throws(BrokerError) {
        let isAnswered: Bool
        do {
            isAnswered = try configuration.resolver.answers(host.name, within: configuration.connectTimeout)
        } catch {
            throw BrokerError(
                "the host name \(host.name) cannot be resolved: \(error); raise the process's limits of threads and memory"
            )
        }
        guard isAnswered else {
            throw BrokerError(
                "the host name \(host.name) was not resolved in time; check this machine's name servers")
        }
    }

    private func openSocket() throws(BrokerError) {
        let tls = self.configuration.transportURL.tls
        // Set before the socket is created: by default none of these waits has a limit.
        var timeout = self.configuration.connectTimeout.timeval
        var requestTimeout = min(self.configuration.requestTimeout, self.configuration.publishTimeout / 2).timeval
        amqp_set_handshake_timeout(self.state, &timeout)
        amqp_set_rpc_timeout(self.state, &requestTimeout)
        guard let socket = try tls.map(self.makeTLSSocket) ?? amqp_tcp_socket_new(self.state) else {
            throw BrokerError(
                "there is not enough memory for a connection to RabbitMQ; free memory, or raise the process's limit")
        }
        let status = amqp_socket_open_noblock(socket, self.host.name, Int32(self.host.port), &timeout)
        guard status == AMQP_STATUS_OK.rawValue else {
            throw BrokerError(opening: self.host, tls: tls, status: status)
        }
        _ = fcntl(self.descriptor, F_SETFD, FD_CLOEXEC)
        try self.watch()
    }

    private func makeTLSSocket(_ tls: TransportURL.TLS) throws(BrokerError) -> OpaquePointer? {
        // OpenSSL 3 needs no initialisation. The library's own would be followed by a cleanup, which undoes state that
        // the process's other user of OpenSSL depends on.
        amqp_set_initialize_ssl_library(0)
        guard let socket = amqp_ssl_socket_new(self.state) else { return nil }
        if let file = tls.caFile {
            guard amqp_ssl_socket_set_cacert(socket, file) == AMQP_STATUS_OK.rawValue else {
                throw BrokerError(
                    "ssl_ca_file \(file) cannot be read, or has no certificate in PEM format; check the path and the file"
                )
            }
        } else if conductor_amqp_trust_system(socket) == 0 {
            throw BrokerError("the CAs of this system cannot be loaded; set ssl_ca_file to the CA of the broker")
        }
        if let file = tls.certificateFile {
            let keyFile = tls.keyFile ?? file
            let key = try Self.readKey(keyFile, option: tls.keyFile == nil ? "ssl_cert_file" : "ssl_key_file")
            // OpenSSL opens this file by path, and does not check which users may write it.
            if keyFile != file { try Self.checkCertificate(file) }
            let isUsed = key.bytes.withUnsafeBytes {
                conductor_amqp_use_key(socket, file, $0.baseAddress, Int32($0.count)) == 1
            }
            guard isUsed else {
                throw BrokerError(
                    "ssl_cert_file \(file) or ssl_key_file \(keyFile) cannot be read, the key has a passphrase, or it does not match the certificate; check both files"
                )
            }
        }
        guard amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST) == AMQP_STATUS_OK.rawValue else {
            throw BrokerError("TLS 1.2 is not available; check this system's OpenSSL and librabbitmq")
        }
        amqp_ssl_socket_set_verify_peer(socket, 1)
        let isAddress = tls.verifiesHostname && conductor_amqp_expect_address(socket, self.host.name) != 0
        amqp_ssl_socket_set_verify_hostname(socket, tls.verifiesHostname && !isAddress ? 1 : 0)
        return socket
    }

    private static func readKey(_ path: String, option: String) throws(BrokerError) -> SecretFile {
        do throws(FileError) {
            // The file may hold a chain of certificates too.
            return try SecretFile(path, limit: FileContents.maximumPEMBytes)
        } catch {
            throw BrokerError("\(option) \(path) \(error.clause)")
        }
    }

    private static func checkCertificate(_ path: String) throws(BrokerError) {
        do throws(FileError) {
            try FileAccessRule.trusted.check(path)
        } catch {
            throw BrokerError("ssl_cert_file \(path) \(error.clause)")
        }
    }

    private func logIn() throws(BrokerError) {
        let url = self.configuration.transportURL
        let reply = conductor_amqp_login(
            self.state, url.virtualHost, Int32(clamping: self.configuration.heartbeatSeconds), self.host.user,
            self.host.password.revealed, "conductor-notification-relay", self.configuration.connectionName)
        guard reply.reply_type != AMQP_RESPONSE_NORMAL else { return }
        if let rejection = Self.serverReply(reply) {
            throw BrokerError(login: rejection, host: self.host, virtualHost: url.virtualHost)
        }
        throw BrokerError(login: reply.library_error, tls: url.tls)
    }
}
