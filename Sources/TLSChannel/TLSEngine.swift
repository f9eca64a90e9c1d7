// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
package import NIOCore

/// A TLS connection without a network: an OpenSSL `SSL` between two memory BIOs.
///
/// Ciphertext from the peer goes in with ``feed(_:)``; ciphertext for the peer comes out of
/// ``takeCiphertext(allocator:)``. Call the latter after every other call, even one that failed: an alert may be
/// waiting. The engine may be used by one thread at a time (an event loop's, a background step's, or a test's) and is
/// not Sendable.
package final class TLSEngine {
    /// The result of a step.
    package enum Outcome: Sendable {
        /// The step is done.
        case complete
        /// The step needs bytes from the peer first.
        case incomplete
        /// The step can never be done; only ``takeCiphertext(allocator:)`` is useful now.
        case failed(TLSError)
    }

    /// The result of a read.
    package enum ReadOutcome: Sendable {
        /// This number of plaintext bytes was appended (at least one); there may be more.
        case bytes(Int)
        /// Everything that has arrived was read.
        case incomplete
        /// The peer has sent close_notify: no more data follows.
        case closed
        /// Reading can never succeed again.
        case failed(TLSError)
    }

    /// The peer's certificate; nil before the handshake is complete.
    package private(set) var peerCertificate: PeerCertificate?

    let context: SSLContext
    /// The lists that the handshake consults; nil once it is over, so that an open connection keeps no lists.
    private(set) var revocationLists: RevocationLists?
    /// Whether the chain was looked up in the lists without objection, or there are none.
    var isRevocationChecked = false
    /// The first five bytes from the peer. They distinguish a peer without TLS from one that speaks it badly.
    private(set) var firstBytes: [UInt8] = []
    /// The depth and subject of the certificate at which verification failed.
    var rejectedCertificate: (depth: Int32, subject: String?)?
    /// The reason why the peer's own certificate is rejected although its chain was verified.
    var objection: String?

    /// The number of times that the peer has updated its keys.
    var keyUpdates: UInt64 = 0
    /// The number of records with plaintext that have arrived from the peer.
    private(set) var recordsRead: UInt64 = 0
    /// The number of plaintext bytes that have arrived from the peer.
    private(set) var plaintextBytes: UInt64 = 0

    let ssl: OpaquePointer
    // Owned by the SSL.
    private let inbound: OpaquePointer
    private let outbound: OpaquePointer

    /// The buffer size in bytes above which a drained BIO frees its memory. A full record is below this size.
    private static let keptBufferBytes = 24 * 1024

    /// Creates the state of one connection.
    ///
    /// `serverName` is the DNS name or IP address that the server's certificate must hold; a client requires one, a
    /// server ignores it. Throws `.invalidConfiguration` or `.internalFailure`.
    package init(context: TLSContext, serverName: String?) throws(TLSError) {
        let isServer = context.configuration.role == .server
        let name: ServerName?
        switch (isServer, serverName) {
        case (true, _): name = nil
        case (false, let text?): name = try ServerName(text)
        case (false, nil):
            throw TLSError(
                .invalidConfiguration, "serverName: missing; set the name that the server's certificate must hold")
        }
        OpenSSLErrorStack.clear()
        guard let ssl = SSL_new(context.ssl.pointer) else {
            throw TLSError.internalFailure("make a connection's state")
        }
        guard let inbound = BIO_new(BIO_s_mem()), let outbound = BIO_new(BIO_s_mem()) else {
            SSL_free(ssl)
            throw TLSError.internalFailure("make a connection's buffers")
        }
        SSL_set_bio(ssl, inbound, outbound)
        self.ssl = ssl
        self.inbound = inbound
        self.outbound = outbound
        self.context = context.ssl
        self.revocationLists = context.revocationLists
        // Unretained: the SSL is freed with this object, and calls back only during one of the methods below.
        SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
        SSL_set_msg_callback(ssl, Self.countKeyUpdates)
        try name?.install(in: ssl)
        if isServer { SSL_set_accept_state(ssl) } else { SSL_set_connect_state(ssl) }
    }

    deinit {
        SSL_free(self.ssl)
    }

    /// The protocol that ALPN has negotiated; nil if the client offered none.
    package var negotiatedProtocol: String? {
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        SSL_get0_alpn_selected(self.ssl, &name, &length)
        guard let name, length > 0 else { return nil }
        return String(decoding: UnsafeBufferPointer(start: name, count: Int(length)), as: UTF8.self)
    }

    /// The negotiated version; nil before the handshake is complete.
    package var version: TLSVersion? {
        guard SSL_is_init_finished(self.ssl) == 1 else { return nil }
        switch SSL_version(self.ssl) {
        case TLS1_3_VERSION: return .tls13
        case TLS1_2_VERSION: return .tls12
        default: return nil
        }
    }

    /// Performs the next step of the handshake. A client must call it once before the first ``feed(_:)``.
    package func handshake() -> Outcome {
        OpenSSLErrorStack.clear()
        let result = SSL_do_handshake(self.ssl)
        if result != 1, SSL_get_error(self.ssl, result) == SSL_ERROR_WANT_READ { return .incomplete }
        self.revocationLists = nil
        return result == 1 ? self.checkPeer() : .failed(self.handshakeFailure(OpenSSLErrorStack.take()))
    }

    /// The certificates that the handshake has verified; nil before it is complete.
    var verifiedChain: VerifiedChain? {
        VerifiedChain(SSL_get0_verified_chain(self.ssl), sent: SSL_get_peer_cert_chain(self.ssl))
    }

    /// Checks again that the peer was verified, and sets ``peerCertificate``. OpenSSL has verified the peer already;
    /// the second check ensures that a mistake in the settings admits no unverified peer.
    private func checkPeer() -> Outcome {
        guard self.verifyResult == X509_V_OK, self.isRevocationChecked, let x509 = SSL_get1_peer_certificate(self.ssl)
        else {
            return .failed(TLSError(.verificationFailed, "the peer has no certificate that was verified"))
        }
        defer { X509_free(x509) }
        guard let certificate = PeerCertificate(x509: x509) else {
            return .failed(TLSError(.verificationFailed, "the peer's certificate cannot be read"))
        }
        self.peerCertificate = certificate
        return .complete
    }

    var verifyResult: Int32 { Int32(SSL_get_verify_result(self.ssl)) }

    /// The number of ciphertext bytes from the peer that were not processed yet.
    var undecryptedBytes: Int { BIO_ctrl_pending(self.inbound) }

    /// Accepts ciphertext from the peer. Throws `.internalFailure` when memory runs out.
    package func feed(_ ciphertext: ByteBuffer) throws(TLSError) {
        OpenSSLErrorStack.clear()
        if self.firstBytes.count < 5 {
            self.firstBytes.append(contentsOf: ciphertext.readableBytesView.prefix(5 - self.firstBytes.count))
        }
        let fed = ciphertext.withUnsafeReadableBytes { bytes in
            guard !bytes.isEmpty else { return true }
            var count = 0
            return BIO_write_ex(self.inbound, bytes.baseAddress, bytes.count, &count) == 1 && count == bytes.count
        }
        guard fed else { throw TLSError.internalFailure("take \(ciphertext.readableBytes) bytes from the peer") }
    }

    /// Decrypts one record, or what is left of one, and appends it to `plaintext`. Call it again as long as it returns
    /// `.bytes`.
    package func read(into plaintext: inout ByteBuffer) -> ReadOutcome {
        let undecrypted = self.undecryptedBytes
        if undecrypted == 0, SSL_has_pending(self.ssl) == 0 {
            conductor_bio_trim(self.inbound, Self.keptBufferBytes)
            return SSL_get_shutdown(self.ssl) & SSL_RECEIVED_SHUTDOWN != 0 ? .closed : .incomplete
        }
        OpenSSLErrorStack.clear()
        // Plaintext is shorter than its ciphertext, so an empty buffer is allocated once for all records.
        let expected = max(undecrypted + Int(SSL_pending(self.ssl)), 1)
        var result: Int32 = 0
        let count = plaintext.writeWithUnsafeMutableBytes(minimumWritableBytes: expected) { space in
            var count = 0
            result = SSL_read_ex(self.ssl, space.baseAddress, space.count, &count)
            return result == 1 ? count : 0
        }
        // OpenSSL continues past messages without data, so it has answered all key updates that came before the data.
        if self.exceedsKeyUpdateLimit { return .failed(Self.keyUpdatesError) }
        if result == 1 {
            self.recordsRead += 1
            self.plaintextBytes += UInt64(count)
            return .bytes(count)
        }
        switch SSL_get_error(self.ssl, result) {
        case SSL_ERROR_WANT_READ:
            conductor_bio_trim(self.inbound, Self.keptBufferBytes)
            return .incomplete
        case SSL_ERROR_ZERO_RETURN:
            return .closed
        default:
            return .failed(self.connectionFailure(OpenSSLErrorStack.take()))
        }
    }

    /// Encrypts all of the bytes, in as few records as possible. Call it only after the handshake. An empty buffer
    /// produces no record.
    package func write(_ plaintext: ByteBuffer) -> Outcome {
        guard plaintext.readableBytes > 0 else { return .complete }
        OpenSSLErrorStack.clear()
        guard SSL_is_init_finished(self.ssl) == 1 else {
            // SSL_write would itself start a handshake.
            return .failed(TLSError(.connectionFailed, "data was written before the TLS handshake had completed"))
        }
        let written = plaintext.withUnsafeReadableBytes { bytes in
            var count = 0
            // A memory BIO accepts any number of bytes, so this call writes all or fails.
            return SSL_write_ex(self.ssl, bytes.baseAddress, bytes.count, &count) == 1 && count == bytes.count
        }
        guard written else { return .failed(self.connectionFailure(OpenSSLErrorStack.take())) }
        return .complete
    }

    /// Sends close_notify, once. Returns `.complete` when the peer has sent it too; until then keep feeding and
    /// reading.
    package func shutdown() -> Outcome {
        let state = SSL_get_shutdown(self.ssl)
        if state & SSL_SENT_SHUTDOWN == 0 {
            OpenSSLErrorStack.clear()
            guard SSL_shutdown(self.ssl) >= 0 else { return .failed(self.connectionFailure(OpenSSLErrorStack.take())) }
        }
        return state & SSL_RECEIVED_SHUTDOWN != 0 ? .complete : .incomplete
    }

    /// Removes and returns all ciphertext for the peer; returns nil if there is none.
    package func takeCiphertext(allocator: ByteBufferAllocator = ByteBufferAllocator()) -> ByteBuffer? {
        let pending = BIO_ctrl_pending(self.outbound)
        guard pending > 0 else { return nil }
        var ciphertext = allocator.buffer(capacity: pending)
        ciphertext.writeWithUnsafeMutableBytes(minimumWritableBytes: pending) { space in
            var count = 0
            return BIO_read_ex(self.outbound, space.baseAddress, pending, &count) == 1 ? count : 0
        }
        conductor_bio_trim(self.outbound, Self.keptBufferBytes)
        return ciphertext
    }
}

@available(*, unavailable)
extension TLSEngine: Sendable {}
