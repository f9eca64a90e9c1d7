// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL

/// The errors that OpenSSL has recorded for the calling thread.
///
/// The stack belongs to the thread, so all connections of an event loop share it. One stale entry makes the next
/// SSL_get_error of a healthy connection return "failed". Clear the stack before each SSL call, and take all entries
/// after a failure.
package struct OpenSSLErrorStack {
    struct Entry {
        let library: Int32
        let reason: Int32
        let text: String
    }

    /// The errors, oldest first, so the cause comes before its consequences.
    let entries: [Entry]

    /// The texts of the errors.
    package var texts: [String] { self.entries.map(\.text) }

    /// Removes all entries of the stack.
    package static func clear() {
        ERR_clear_error()
    }

    /// Removes and returns all entries of the stack.
    package static func take() -> OpenSSLErrorStack {
        var entries: [Entry] = []
        while true {
            var data: UnsafePointer<CChar>?
            var flags: Int32 = 0
            let code = ERR_get_error_all(nil, nil, nil, &data, &flags)
            guard code != 0 else { break }
            let library = ERR_GET_LIB(code)
            let reason = ERR_GET_REASON(code)
            var text = ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(library)/\(reason)"
            if flags & ERR_TXT_STRING != 0, let data {
                let detail = String(cString: data)
                if !detail.isEmpty { text += " (\(detail))" }
            }
            entries.append(Entry(library: library, reason: reason, text: text))
        }
        return OpenSSLErrorStack(entries: entries)
    }

    func contains(sslReason reason: Int32) -> Bool {
        self.entries.contains { $0.library == ERR_LIB_SSL && $0.reason == reason }
    }

    /// The number of the alert that the peer has sent; nil if no alert has ended the connection.
    var peerAlert: Int32? {
        // OpenSSL reports an alert that it received as reason 1000 + number.
        self.entries.lazy
            .filter { $0.library == ERR_LIB_SSL && $0.reason >= SSL_AD_REASON_OFFSET }
            .map { $0.reason - SSL_AD_REASON_OFFSET }
            .first
    }
}

extension TLSError {
    /// Creates the error of an OpenSSL call that failed unexpectedly, with the entries of the stack.
    package static func internalFailure(_ what: String) -> TLSError {
        TLSError(.internalFailure, "OpenSSL could not \(what)", openSSLErrors: OpenSSLErrorStack.take().texts)
    }
}
