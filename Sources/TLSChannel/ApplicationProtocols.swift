// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL

/// The protocol names for ALPN in wire format: a length byte and the name, one after the other.
final class ApplicationProtocols {
    private let wire: [UInt8]

    /// Encodes the names. Throws `.invalidConfiguration` for a name that does not have 1 to 255 bytes, and for more
    /// than 4096 bytes in total.
    init(_ names: [String]) throws(TLSError) {
        var wire: [UInt8] = []
        for name in names {
            guard (1...255).contains(name.utf8.count) else {
                throw TLSError(
                    .invalidConfiguration,
                    "applicationProtocols: each name must have 1 to 255 bytes, one has \(name.utf8.count)")
            }
            wire.append(UInt8(name.utf8.count))
            wire.append(contentsOf: name.utf8)
        }
        guard wire.count <= 4096 else {
            throw TLSError(.invalidConfiguration, "applicationProtocols: the names are longer than 4096 bytes together")
        }
        self.wire = wire
    }

    /// Installs the names in an SSL_CTX. This object must live at least as long as the context: the server's callback
    /// has an unretained reference.
    func install(in context: OpaquePointer, role: TLSRole) throws(TLSError) {
        guard !self.wire.isEmpty else { return }
        switch role {
        case .client:
            // Unlike most of OpenSSL's functions, this one returns 0 for success.
            guard SSL_CTX_set_alpn_protos(context, self.wire, UInt32(self.wire.count)) == 0 else {
                throw TLSError.internalFailure("set the application protocols")
            }
        case .server:
            let this = Unmanaged.passUnretained(self).toOpaque()
            SSL_CTX_set_alpn_select_cb(context, Self.select, this)
        }
    }

    /// Selects the protocol. OpenSSL calls it only when the client offers protocols. If none of them is supported, the
    /// handshake ends with the alert no_application_protocol.
    private static let select:
        @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?, UnsafeMutablePointer<UInt8>?,
            UnsafePointer<UInt8>?, UInt32, UnsafeMutableRawPointer?
        ) -> Int32 = { _, selected, selectedLength, offered, offeredLength, context in
            guard let context, let selected, let selectedLength, let offered else { return SSL_TLSEXT_ERR_ALERT_FATAL }
            let this = Unmanaged<ApplicationProtocols>.fromOpaque(context).takeUnretainedValue()
            guard let range = this.firstMatch(in: UnsafeBufferPointer(start: offered, count: Int(offeredLength))) else {
                return SSL_TLSEXT_ERR_ALERT_FATAL
            }
            // Points into the client's own offer, which outlives this call; OpenSSL copies it on return.
            selected.pointee = offered + range.lowerBound
            selectedLength.pointee = UInt8(range.count)
            return SSL_TLSEXT_ERR_OK
        }

    /// Returns the range of the client's offer that holds the name that this side prefers most.
    private func firstMatch(in offer: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
        self.wire.withUnsafeBufferPointer { wanted in
            for name in Self.names(in: wanted) {
                for candidate in Self.names(in: offer)
                where wanted[name].elementsEqual(offer[candidate]) {
                    return candidate
                }
            }
            return nil
        }
    }

    private static func names(in wire: UnsafeBufferPointer<UInt8>) -> some Sequence<Range<Int>> {
        sequence(state: 0) { position -> Range<Int>? in
            guard position < wire.count else { return nil }
            let start = position + 1
            let end = start + Int(wire[position])
            guard end <= wire.count else { return nil }
            position = end
            return start..<end
        }
    }
}
