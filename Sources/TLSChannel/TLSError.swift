// SPDX-License-Identifier: Apache-2.0

/// An error of this module: a ``code`` to switch on and a ``message`` for a person.
///
/// The message says what happened, to which file or field, and what to do. It never holds key material. Text that came
/// from a peer (a certificate's subject) is escaped and shortened before it becomes part of a message.
package struct TLSError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of a failure. More kinds may be added: match those that you handle, and have a default.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The name of the code, stable enough for a metric's label.
        package let description: String

        private init(_ description: String) {
            self.description = description
        }

        /// A file of the configuration does not exist.
        package static let fileNotFound = Code("file_not_found")
        /// A file of the configuration exists but cannot be read (permissions, a directory, an I/O error).
        package static let fileUnreadable = Code("file_unreadable")
        /// The bytes are not the expected PEM block.
        package static let malformedPEM = Code("malformed_pem")
        /// The private key does not belong to the certificate.
        package static let keyMismatch = Code("key_mismatch")
        /// Users other than the service's can read the file of a private key, or change a file of certificates.
        package static let fileExposed = Code("file_exposed")
        /// A revocation list is missing, cannot be used, or is not signed by its authority.
        package static let revocationListRefused = Code("revocation_list_refused")
        /// The peer's certificate was revoked while the connection was open.
        package static let revoked = Code("revoked")
        /// The authority of the peer's certificate was removed from the trust roots while the connection was open.
        package static let untrusted = Code("untrusted")
        /// The peer's certificate, or another one of its chain, expired while the connection was open.
        package static let expired = Code("expired")
        /// A value of the configuration cannot work; the message names it.
        package static let invalidConfiguration = Code("invalid_configuration")
        /// A certificate or a revocation list cannot be issued from the given values.
        package static let certificateNotIssued = Code("certificate_not_issued")
        /// The handshake failed on this side, for a reason other than those below.
        package static let handshakeFailed = Code("handshake_failed")
        /// The handshake did not finish before its deadline.
        package static let handshakeTimedOut = Code("handshake_timed_out")
        /// The peer's certificate is missing or was rejected; the message names the reason.
        package static let verificationFailed = Code("verification_failed")
        /// The peer does not speak TLS at all.
        package static let notTLS = Code("not_tls")
        /// The peer ended the connection with an alert. With TLS 1.3 a client can receive it after its handshake has
        /// completed: the server verifies the client's certificate last.
        package static let refusedByPeer = Code("refused_by_peer")
        /// The connection ended without close_notify: the received data may be incomplete.
        package static let truncated = Code("truncated")
        /// A record after the handshake could not be read or written.
        package static let connectionFailed = Code("connection_failed")
        /// Too much was written before the handshake had completed.
        package static let writeQueueFull = Code("write_queue_full")
        /// The connection was closed before the operation completed.
        package static let closed = Code("closed")
        /// OpenSSL failed internally, most likely because memory ran out.
        package static let internalFailure = Code("internal_failure")
    }

    /// The kind of the failure.
    package let code: Code
    /// One or two sentences for a person.
    package let message: String
    /// OpenSSL's error texts, oldest first, for a bug report. Often empty.
    package let openSSLErrors: [String]

    /// Creates an error of this kind.
    package init(_ code: Code, _ message: String, openSSLErrors: [String] = []) {
        self.code = code
        self.message = message
        self.openSSLErrors = openSSLErrors
    }

    /// `code: message [OpenSSL: …]`.
    package var description: String {
        let openSSL = self.openSSLErrors.isEmpty ? "" : " [OpenSSL: \(self.openSSLErrors.joined(separator: "; "))]"
        return "\(self.code): \(self.message)\(openSSL)"
    }
}
