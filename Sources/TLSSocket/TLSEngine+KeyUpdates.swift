import CConductorOpenSSL

// TLS 1.3 lets a peer renew its keys whenever it likes, and ask us to renew ours in answer. OpenSSL has no limit: a few bytes of
// the peer's cost us two key derivations and a record, as often as it sends them.
extension TLSEngine {
    /// How many key updates a connection may begin with.
    static let freeKeyUpdates = 64
    /// How much plaintext earns one more. What renews its keys for their own sake does so after gigabytes.
    static let plaintextPerKeyUpdate: UInt64 = 64 * 1024

    static let keyUpdatesError = TLSError(
        .connectionFailed, "the peer renewed its keys again and again, with next to no data in between")

    /// OpenSSL shows each message of the protocol.
    static let noteMessage:
        @convention(c) (
            Int32, Int32, Int32, UnsafeRawPointer?, Int, OpaquePointer?, UnsafeMutableRawPointer?
        ) -> Void = { isSent, _, kind, bytes, count, ssl, _ in
            guard isSent == 0, kind == SSL3_RT_HANDSHAKE, count > 0,
                bytes?.load(as: UInt8.self) == UInt8(SSL3_MT_KEY_UPDATE), let engine = SSL_get_ex_data(ssl, 0)
            else { return }
            Unmanaged<TLSEngine>.fromOpaque(engine).takeUnretainedValue().keyUpdates += 1
        }

    /// Whether the peer has renewed its keys more often than its data earns.
    var renewsKeysTooOften: Bool {
        self.keyUpdates > UInt64(Self.freeKeyUpdates) + self.plaintextBytes / Self.plaintextPerKeyUpdate
    }
}
