// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL

// The limit on key updates. TLS 1.3 lets a peer update its keys at any time, and request that this side update its own
// in response. OpenSSL sets no limit: each time, a few bytes from the peer cost this side two key derivations and a
// record.
extension TLSEngine {
    /// The number of key updates that a connection may make without any data.
    static let freeKeyUpdates = 64
    /// The number of plaintext bytes from the peer that allow one more key update. A peer that updates its keys to
    /// limit their use does so only after gigabytes.
    static let plaintextPerKeyUpdate: UInt64 = 64 * 1024

    static let keyUpdatesError = TLSError(
        .connectionFailed, "the peer updated its keys too often for the amount of data that it sent")

    /// Counts the peer's key updates. OpenSSL calls it with each message of the protocol.
    static let countKeyUpdates:
        @convention(c) (
            Int32, Int32, Int32, UnsafeRawPointer?, Int, OpaquePointer?, UnsafeMutableRawPointer?
        ) -> Void = { isSent, _, kind, bytes, count, ssl, _ in
            guard isSent == 0, kind == SSL3_RT_HANDSHAKE, count > 0,
                bytes?.load(as: UInt8.self) == UInt8(SSL3_MT_KEY_UPDATE), let engine = SSL_get_ex_data(ssl, 0)
            else { return }
            Unmanaged<TLSEngine>.fromOpaque(engine).takeUnretainedValue().keyUpdates += 1
        }

    /// Whether the peer has updated its keys more often than the amount of its data allows.
    var exceedsKeyUpdateLimit: Bool {
        self.keyUpdates > UInt64(Self.freeKeyUpdates) + self.plaintextBytes / Self.plaintextPerKeyUpdate
    }
}
