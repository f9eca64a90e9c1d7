// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
package import SecureFiles

/// The PEM text of a configuration field, with a name for errors.
package final class PEMDocument: Sendable {
    /// The field and the source of its text: "certificate chain (file /etc/…)".
    let name: String
    /// The text, which may be a private key, and is then overwritten with the last reference to it.
    private let bytes: SecretBytes

    /// Reads the source. Throws `.fileNotFound`, `.fileUnreadable`, or `.fileExposed` for a file that breaks the rule.
    ///
    /// - Parameter rule: the rule for who may read and change the file; nil for no rule, where a signature
    ///   authenticates the text.
    package init(_ field: String, _ source: TLSSource, rule: FileAccessRule? = .trusted) throws(TLSError) {
        let name = "\(field) (\(source))"
        let bytes =
            switch source {
            case .pem(let text): SecretBytes(Array(text.utf8))
            case .file(let path): try Self.read(path, name: name, rule: rule)
            }
        self.name = name
        // OpenSSL cannot create a memory BIO of no bytes; an empty line reads the same. Not a literal: the compiler may
        // keep one memory for all its uses, and SecretBytes overwrites what it is given.
        self.bytes = bytes.isEmpty ? SecretBytes([UInt8](repeating: UInt8(ascii: "\n"), count: 1)) : bytes
    }

    /// Returns the SHA-256 digest of the text.
    func digest() throws(TLSError) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        let result = self.bytes.withUnsafeBytes {
            EVP_Digest($0.baseAddress, $0.count, &digest, nil, EVP_sha256(), nil)
        }
        guard result == 1 else {
            throw TLSError.internalFailure("digest \(self.name)")
        }
        return digest
    }

    /// Returns every certificate of the text, in order; the caller frees them with ``free(_:)``. Throws
    /// `.malformedPEM`.
    package func certificates() throws(TLSError) -> [OpaquePointer] {
        try self.all(
            "certificate", begin: "CERTIFICATE", read: { PEM_read_bio_X509($0, nil, conductor_no_passphrase, nil) },
            free: { X509_free($0) })
    }

    /// Returns every revocation list of the text, in order; the caller frees them with X509_CRL_free. Throws
    /// `.malformedPEM`.
    package func revocationLists() throws(TLSError) -> [OpaquePointer] {
        try self.all(
            "revocation list", begin: "X509 CRL",
            read: { PEM_read_bio_X509_CRL($0, nil, conductor_no_passphrase, nil) }, free: { X509_CRL_free($0) })
    }

    private func all(
        _ kind: String, begin: String, read: (OpaquePointer?) -> OpaquePointer?, free: (OpaquePointer) -> Void
    ) throws(TLSError) -> [OpaquePointer] {
        var found: [OpaquePointer] = []
        let failure = self.withMemoryBIO { bio -> TLSError? in
            while let one = read(bio) { found.append(one) }
            let stack = OpenSSLErrorStack.take()
            // OpenSSL reports the end of the text as "no start line"; any other error means damage.
            let atEnd = stack.entries.last.map { $0.library == ERR_LIB_PEM && $0.reason == PEM_R_NO_START_LINE }
            if atEnd == true, !found.isEmpty { return nil }
            return TLSError(
                .malformedPEM,
                found.isEmpty
                    ? "\(self.name) holds no PEM \(kind); expected -----BEGIN \(begin)-----"
                    : "\(self.name): \(kind) number \(found.count + 1) is damaged",
                openSSLErrors: stack.texts)
        }
        if let failure {
            for one in found { free(one) }
            throw failure
        }
        return found
    }

    /// Returns the private key of the text; the caller frees it with EVP_PKEY_free. Throws `.malformedPEM`.
    package func privateKey() throws(TLSError) -> OpaquePointer {
        let key = self.withMemoryBIO { PEM_read_bio_PrivateKey($0, nil, conductor_no_passphrase, nil) }
        guard let key else {
            let stack = OpenSSLErrorStack.take()
            let encrypted = stack.entries.contains {
                $0.library == ERR_LIB_PEM && ($0.reason == PEM_R_BAD_PASSWORD_READ || $0.reason == PEM_R_BAD_DECRYPT)
            }
            throw TLSError(
                .malformedPEM,
                encrypted
                    ? "\(self.name) is encrypted; use a key without a passphrase and protect its file instead"
                    : "\(self.name) holds no PEM private key; expected -----BEGIN PRIVATE KEY-----",
                openSSLErrors: stack.texts)
        }
        return key
    }

    /// Frees certificates.
    package static func free(_ certificates: [OpaquePointer]) {
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

    private static func read(_ path: String, name: String, rule: FileAccessRule?) throws(TLSError) -> SecretBytes {
        do throws(FileError) {
            if rule == .secret { return try SecretFile(path, limit: FileContents.maximumPEMBytes).bytes }
            return SecretBytes(try FileContents(path, limit: FileContents.maximumPEMBytes, rule: rule).bytes)
        } catch {
            switch error.kind {
            case .missing: throw TLSError(.fileNotFound, "\(name) \(error.clause)")
            case .exposed: throw TLSError(.fileExposed, "\(name) \(error.clause)")
            default: throw TLSError(.fileUnreadable, "\(name) \(error.clause)")
            }
        }
    }
}
