// SPDX-License-Identifier: Apache-2.0

import HostNames

/// The brokers' addresses and credentials: oslo.messaging's `transport_url`.
///
/// `rabbit://user:password@host:port,user2:password2@host2:port2/vhost?ssl=1&ssl_ca_file=/etc/ca.pem`
///
/// As in oslo: each host has its own credentials, and one without any logs in as `guest`; no path and an empty path
/// mean the virtual host `/`, `/foo` means `foo` and `//foo` means `/foo`; no host at all means `localhost`. User,
/// password and virtual host are percent-decoded. `amqp` and `amqps` are other names for `rabbit` and `rabbit` with
/// `ssl=1`.
///
/// Unlike oslo: the default port under TLS is 5671 (oslo: 5672), TLS without `ssl_ca_file` trusts the system's CAs
/// (oslo: every certificate), and the certificate must name the host unless `ssl_enforce_hostname_verification=false`.
/// A connection without TLS to a host that is not on this machine requires `ssl=0` in the URL, so that no password is
/// sent in the clear only because an option is missing.
///
/// A printed `TransportURL` never shows a password.
package struct TransportURL: Sendable, Hashable {
    /// One broker.
    package struct Host: Sendable, Hashable {
        /// DNS name or IP address, the latter without brackets.
        package var name: String
        package var port: UInt16
        package var user: String
        package var password: Password

        package init(name: String, port: UInt16, user: String, password: Password) {
            self.name = name
            self.port = port
            self.user = user
            self.password = password
        }

        /// `host:port`, an IPv6 address in brackets. For logs and messages.
        package var address: String { HostPort(host: self.name, port: Int(self.port)).description }

        /// Whether the host's name alone means this machine: `localhost`, 127.0.0.0/8 or ::1. Other names are not
        /// looked up, because the answer can change.
        package var isLoopback: Bool { HostName(self.name).isLoopback }
    }

    /// The TLS settings for the brokers (TLS 1.2 or newer; the broker is always authenticated).
    package struct TLS: Sendable, Hashable {
        /// PEM file with the CAs to trust; nil means those of the system.
        package var caFile: String?
        /// PEM file with our certificate chain, for a broker that requires one.
        package var certificateFile: String?
        /// PEM file with the key of `certificateFile`; nil means that the key is in the same file.
        package var keyFile: String?
        /// Whether the certificate must name the host.
        package var verifiesHostname: Bool

        package init(
            caFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil, verifiesHostname: Bool = true
        ) {
            self.caFile = caFile
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.verifiesHostname = verifiesHostname
        }
    }

    /// The brokers, tried in turn; never empty.
    package let hosts: [Host]
    package let virtualHost: String
    /// The TLS settings; nil means that the connection is not encrypted.
    package let tls: TLS?
    /// The names of options in the query that oslo knows and this program does not use.
    package let ignoredOptions: [String]

    /// Parses a transport URL.
    ///
    /// - Parameter string: The URL, as an oslo service has it in `transport_url`.
    /// - Throws: ``TransportURLError``, which never quotes text that could be part of a password.
    package init(_ string: String) throws(TransportURLError) {
        let (url, isPlaintextExplicit) = try Self.read(string)
        guard isPlaintextExplicit || url.plaintextHosts.isEmpty else {
            throw TransportURLError(
                .plaintext,
                "without TLS the password and every notification are sent in the clear; add ?ssl=1 (and "
                    + "&ssl_ca_file=FILE for a private CA) after the virtual host, or ?ssl=0 to allow it"
            )
        }
        self = url
    }

    /// Returns the URL in a form that may be shown, even if it cannot be used: with `***` for each password, or `***`
    /// alone for a text that is no URL.
    package static func shown(_ string: String) -> String { (try? Self.read(string).url.description) ?? "***" }

    /// The hosts on other machines to which all data is sent in the clear.
    package var plaintextHosts: [Host] { self.tls == nil ? self.hosts.filter { !$0.isLoopback } : [] }

    private static func read(
        _ string: String
    ) throws(TransportURLError) -> (url: TransportURL, isPlaintextExplicit: Bool) {
        let parts = try TransportURLParts(string)
        let options = try TransportURLOptions(query: parts.query)
        let tls = try options.tls(impliedByScheme: parts.scheme == .amqps)
        let url = TransportURL(
            hosts: try parts.hosts(defaultPort: tls == nil ? 5672 : 5671), virtualHost: try parts.virtualHost(),
            tls: tls,
            ignoredOptions: options.ignored)
        return (url, options.disablesTLS)
    }

    private init(hosts: [Host], virtualHost: String, tls: TLS?, ignoredOptions: [String]) {
        self.hosts = hosts
        self.virtualHost = virtualHost
        self.tls = tls
        self.ignoredOptions = ignoredOptions
    }
}

extension TransportURL: CustomStringConvertible, CustomDebugStringConvertible {
    /// The URL as it was parsed, with `***` for each password.
    package var description: String {
        let hosts = self.hosts.map { "\($0.user):***@\($0.address)" }.joined(separator: ",")
        let path = self.virtualHost == "/" ? "" : self.virtualHost
        let option = self.tls != nil ? "?ssl=1" : self.plaintextHosts.isEmpty ? "" : "?ssl=0"
        return "rabbit://\(hosts)/\(path)\(option)"
    }

    package var debugDescription: String { self.description }
}

/// The reason why a transport URL cannot be used. The description is a sentence for the operator.
package struct TransportURLError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The part of the URL that is wrong.
    package struct Code: Sendable, Hashable {
        private enum Value { case syntax, scheme, host, port, credentials, virtualHost, option, plaintext }
        private let value: Value

        /// The text is not a URL, or has characters that must be percent-encoded.
        package static let syntax = Code(value: .syntax)
        /// The transport is not RabbitMQ.
        package static let scheme = Code(value: .scheme)
        package static let host = Code(value: .host)
        package static let port = Code(value: .port)
        package static let credentials = Code(value: .credentials)
        package static let virtualHost = Code(value: .virtualHost)
        /// An option in the query.
        package static let option = Code(value: .option)
        /// There is no TLS to a host on another machine, and no explicit `ssl=0`.
        package static let plaintext = Code(value: .plaintext)
    }

    package let code: Code
    package let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = "messaging.transport_url: " + description
    }
}
