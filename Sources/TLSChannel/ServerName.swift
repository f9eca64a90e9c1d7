// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import HostNames

/// The name that a client expects in the server's certificate.
enum ServerName: Hashable {
    case dns(String)
    case ip(String)

    /// Parses a DNS name or an IP address. Throws `.invalidConfiguration` for text that cannot be a host: it would
    /// never match, or would match something else.
    init(_ text: String) throws(TLSError) {
        var name = Substring(text)
        // URLs write an IPv6 address as "[::1]".
        if name.first == "[", name.last == "]" { name = name.dropFirst().dropLast() }
        if name.contains(":") {
            // A zone ("%eth0") is local to this machine; no certificate has one.
            if let zone = name.firstIndex(of: "%") { name = name[..<zone] }
        }
        let host = HostName(String(name))
        if host.isIPv4 || host.isIPv6 {
            self = .ip(String(name))
            return
        }
        // SNI and certificates omit the final dot of a fully qualified name.
        if name.last == "." { name = name.dropLast() }
        let allowed = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                true
            default:
                false
            }
        }
        guard allowed, (1...253).contains(name.utf8.count), name.first != "." else {
            throw TLSError(
                .invalidConfiguration,
                "serverName: not a DNS name or an IP address; give the name that the server's certificate holds"
                    + " (an international name in its xn-- form)")
        }
        self = .dns(String(name))
    }

    /// Makes the handshake check the certificate for this name.
    func install(in ssl: OpaquePointer) throws(TLSError) {
        let parameters = SSL_get0_param(ssl)
        switch self {
        case .ip(let address):
            guard X509_VERIFY_PARAM_set1_ip_asc(parameters, address) == 1 else {
                throw TLSError.internalFailure("set the expected IP address")
            }
        case .dns(let name):
            // As in RFC 9525: the subject's common name is not a host name, and "*" matches a whole label.
            X509_VERIFY_PARAM_set_hostflags(
                parameters, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT))
            guard SSL_set1_host(ssl, name) == 1, conductor_ssl_set_sni(ssl, name) == 1 else {
                throw TLSError.internalFailure("set the expected host name")
            }
        }
    }
}
