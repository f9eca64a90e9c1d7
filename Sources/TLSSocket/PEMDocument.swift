import CConductorOpenSSL
import Glibc

/// PEM text of a configuration field, together with the words to name it in an error.
struct PEMDocument: ~Copyable {
    private static let maximumBytes = 16 << 20

    /// "certificate chain (file /etc/…)": the field, and where its text came from.
    let name: String
    private var bytes: [UInt8]

    /// Reads the source. Throws `.fileNotFound` or `.fileUnreadable`.
    init(_ field: String, _ source: TLSSource) throws(TLSError) {
        self.name = "\(field) (\(source))"
        switch source {
        case .pem(let text):
            self.bytes = Array(text.utf8)
        case .file(let path):
            self.bytes = try Self.read(path, name: self.name)
        }
        // OpenSSL has no memory BIO over nothing; an empty line reads the same.
        if self.bytes.isEmpty { self.bytes = [UInt8(ascii: "\n")] }
    }

    deinit {
        // May be a private key: do not leave it in freed memory.
        self.bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            OPENSSL_cleanse(UnsafeMutableRawPointer(mutating: base), buffer.count)
        }
    }

    /// Every certificate of the text, in order; the caller frees them with ``free(_:)``. Throws `.malformedPEM`.
    func certificates() throws(TLSError) -> [OpaquePointer] {
        var certificates: [OpaquePointer] = []
        let failure = self.withMemoryBIO { bio -> TLSError? in
            while let certificate = PEM_read_bio_X509(bio, nil, conductor_no_passphrase, nil) {
                certificates.append(certificate)
            }
            let stack = OpenSSLErrorStack.take()
            // The end of the text is reported as "no start line"; anything else is damage.
            let atEnd = stack.entries.last.map { $0.library == ERR_LIB_PEM && $0.reason == PEM_R_NO_START_LINE }
            if atEnd == true, !certificates.isEmpty { return nil }
            return TLSError(
                .malformedPEM,
                certificates.isEmpty
                    ? "\(self.name) holds no PEM certificate; expected -----BEGIN CERTIFICATE-----"
                    : "\(self.name): certificate number \(certificates.count + 1) is damaged",
                openSSLErrors: stack.texts)
        }
        if let failure {
            Self.free(certificates)
            throw failure
        }
        return certificates
    }

    /// The private key of the text; the caller frees it with EVP_PKEY_free. Throws `.malformedPEM`.
    func privateKey() throws(TLSError) -> OpaquePointer {
        let key = self.withMemoryBIO { PEM_read_bio_PrivateKey($0, nil, conductor_no_passphrase, nil) }
        guard let key else {
            let stack = OpenSSLErrorStack.take()
            let encrypted = stack.entries.contains {
                $0.library == ERR_LIB_PEM && ($0.reason == PEM_R_BAD_PASSWORD_READ || $0.reason == PEM_R_BAD_DECRYPT)
            }
            throw TLSError(
                .malformedPEM,
                encrypted
                    ? "\(self.name) is encrypted; give a key without a passphrase and protect its file instead"
                    : "\(self.name) holds no PEM private key; expected -----BEGIN PRIVATE KEY-----",
                openSSLErrors: stack.texts)
        }
        return key
    }

    static func free(_ certificates: [OpaquePointer]) {
        for certificate in certificates {
            X509_free(certificate)
        }
    }

    private func withMemoryBIO<Result>(_ body: (OpaquePointer?) -> Result) -> Result {
        OpenSSLErrorStack.clear()
        return self.bytes.withUnsafeBytes { buffer in
            let bio = BIO_new_mem_buf(buffer.baseAddress, Int32(buffer.count))
            defer { BIO_free(bio) }
            return body(bio)
        }
    }

    private static func read(_ path: String, name: String) throws(TLSError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let reason = errno
            if reason == ENOENT || reason == ENOTDIR {
                throw TLSError(.fileNotFound, "\(name) does not exist; check the path")
            }
            throw self.unreadable(name, reason)
        }
        defer { Glibc.close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        defer { OPENSSL_cleanse(&chunk, chunk.count) }
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                throw self.unreadable(name, errno)
            }
            bytes.append(contentsOf: chunk[..<count])
            if bytes.count > self.maximumBytes {
                throw TLSError(.fileUnreadable, "\(name) is larger than 16 MiB; this cannot be the right file")
            }
        }
    }

    private static func unreadable(_ name: String, _ reason: Int32) -> TLSError {
        let text = String(cString: strerror(reason))
        return TLSError(.fileUnreadable, "\(name) cannot be read: \(text); check its permissions and owner")
    }
}
