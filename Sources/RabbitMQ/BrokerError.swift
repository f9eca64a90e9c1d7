// SPDX-License-Identifier: Apache-2.0

internal import CConductorRabbitMQ

/// The reply code and text with which a broker closed a channel or a connection.
struct BrokerReply: Sendable, Hashable {
    var code: UInt16
    var text: String

    static let accessRefused: UInt16 = 403
    static let notFound: UInt16 = 404
    static let preconditionFailed: UInt16 = 406
    static let notAllowed: UInt16 = 530

    /// The largest message in bytes: M of "message size N is larger than configured max size M", with which a broker
    /// rejects a message; nil for any other reply.
    var messageSizeLimit: Int? {
        guard self.code == Self.preconditionFailed, self.text.contains("message size ") else { return nil }
        let words = self.text.split { !$0.isNumber && !$0.isLetter }
        guard let size = words.lastIndex(of: "size"), words.indices.contains(size + 1) else { return nil }
        return Int(words[size + 1])
    }
}

/// The reason why a connection cannot be opened, or has ended. The description is a sentence for the operator.
struct BrokerError: Error, Sendable, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }

    /// Creates the error for a connection that ended in a call that returned `status`.
    init(lost status: Int32) {
        switch status {
        case AMQP_STATUS_HEARTBEAT_TIMEOUT.rawValue:
            self.init("the broker sent no heartbeat for two intervals; check the network and the broker")
        case AMQP_STATUS_CONNECTION_CLOSED.rawValue, AMQP_STATUS_SOCKET_CLOSED.rawValue:
            self.init("the connection was closed")
        case AMQP_STATUS_TIMEOUT.rawValue:
            self.init("the broker did not answer in time; check the network and the broker")
        default:
            self.init(Self.text(status))
        }
    }

    /// Creates the error for a connection that the broker closed.
    init(closed reply: BrokerReply) {
        self.init("the broker closed the connection: \(reply.code) \(reply.text)")
    }

    static func text(_ status: Int32) -> String {
        String(cString: amqp_error_string2(status))
    }
}

extension BrokerError {
    /// Creates the error for a connection to `host` that could not be opened.
    init(opening host: TransportURL.Host, tls: TransportURL.TLS?, status: Int32) {
        let trusted =
            tls?.caFile.map { "the CAs in ssl_ca_file \($0)" } ?? "the CAs of this system (no ssl_ca_file is given)"
        switch status {
        case AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED.rawValue:
            self.init("the host name \(host.name) cannot be resolved; check the name and this machine's name servers")
        case AMQP_STATUS_TIMEOUT.rawValue:
            self.init("the host did not answer in time; check the address, the network and firewalls")
        case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED.rawValue:
            self.init(
                "the broker's certificate does not contain the host name \(host.name); use a name from the certificate in the URL, or replace the certificate"
            )
        case AMQP_STATUS_SSL_PEER_VERIFY_FAILED.rawValue:
            self.init(
                "the broker's certificate does not contain \(host.name), or is not signed by one of \(trusted); check the name in the URL and the CAs"
            )
        case AMQP_STATUS_SSL_CONNECTION_FAILED.rawValue, AMQP_STATUS_SSL_ERROR.rawValue:
            self.init(
                "the TLS handshake failed: is this the broker's TLS port, is its certificate signed by one of \(trusted), "
                    + "and does the broker require a client certificate (ssl_cert_file)?")
        case AMQP_STATUS_SOCKET_ERROR.rawValue, AMQP_STATUS_TCP_ERROR.rawValue:
            self.init(
                "the connection was refused, or the host is unreachable; check the address, the port and the broker")
        default:
            self.init(Self.text(status))
        }
    }

    /// Creates the error for a connection that the broker closed during the login.
    init(login reply: BrokerReply, host: TransportURL.Host, virtualHost: String) {
        switch reply.code {
        case BrokerReply.accessRefused:
            self.init(
                "the broker rejected the login of user \(host.user): the user name or the password is wrong (\(reply.text))"
            )
        case BrokerReply.notAllowed:
            self.init(
                "the broker denies user \(host.user) access to the virtual host \(virtualHost): it does not exist, or the "
                    + "user has no permission for it (\(reply.text))")
        default:
            self.init("the broker rejected the connection: \(reply.code) \(reply.text)")
        }
    }

    /// Creates the error for a login that failed without a reply from the broker.
    init(login status: Int32, tls: TransportURL.TLS?) {
        switch status {
        case AMQP_STATUS_CONNECTION_CLOSED.rawValue, AMQP_STATUS_SOCKET_CLOSED.rawValue,
            AMQP_STATUS_SOCKET_ERROR.rawValue:
            self.init(
                tls == nil
                    ? "the connection was closed during the login: is this the broker's AMQP port, and not its TLS port (which needs ssl=1)?"
                    : "the connection was closed during the login: is this the broker's TLS port, and does the broker accept the client certificate?"
            )
        default:
            self.init(lost: status)
        }
    }
}
