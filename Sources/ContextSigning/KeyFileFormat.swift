// SPDX-License-Identifier: Apache-2.0

/// A form in which files hold keys and certificates that are not HS256 secrets.
///
/// An operator who configures such a file as a secret by mistake may have published it. Only forms that programs write
/// are detected: a public key of 32 bytes, or in Base64 without a word around it, looks like any secret.
enum KeyFileFormat: String {
    /// PEM or the form of RFC 4716, after any other text.
    case pem = "a PEM file"
    /// A line in OpenSSH's format.
    case openSSH = "an OpenSSH key"
    /// One key or a set of keys (RFC 7517).
    case jwk = "a JWK"
    /// A SubjectPublicKeyInfo, a PKCS #1 or PKCS #8 key, or a certificate.
    case der = "a key or a certificate in DER"

    /// Detects the form of the bytes; nil when they may be a secret.
    init?(of bytes: [UInt8]) {
        if Self.contains(bytes, "---- BEGIN ") || Self.contains(bytes, "-----BEGIN ") {
            self = .pem
        } else if Self.isOpenSSH(bytes) {
            self = .openSSH
        } else if Self.contains(bytes, "{"), Self.contains(bytes, "\"kty\"") {
            self = .jwk
        } else if Self.isDER(bytes) {
            self = .der
        } else {
            return nil
        }
    }

    private static func contains(_ bytes: [UInt8], _ words: String) -> Bool {
        let words = Array(words.utf8)
        return bytes.indices.contains { bytes[$0...].starts(with: words) }
    }

    private static func isOpenSSH(_ bytes: [UInt8]) -> Bool {
        bytes.split(whereSeparator: { $0 == 0x0A || $0 == 0x0D }).contains { line in
            // Skips options, which an authorized key may have before its type.
            line.split(separator: UInt8(ascii: " ")).contains { word in
                ["ssh-ed25519", "ssh-rsa", "ssh-dss", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].contains { name in
                    word.starts(with: name.utf8)
                }
            }
        }
    }

    /// Whether the bytes are one SEQUENCE that begins with another SEQUENCE or an INTEGER. Up to two bytes may be
    /// missing, cut off as a line end. One random secret in millions matches too.
    private static func isDER(_ bytes: [UInt8]) -> Bool {
        guard bytes.count > 4, bytes[0] == 0x30 else { return false }
        var (length, start) = (Int(bytes[1]), 2)
        if length >= 0x80 {
            let count = length - 0x80
            guard (1...3).contains(count), bytes.count > 2 + count else { return false }
            length = bytes[2..<2 + count].reduce(0) { $0 << 8 | Int($1) }
            start += count
        }
        return (bytes.count...bytes.count + 2).contains(start + length) && [0x30, 0x02].contains(bytes[start])
    }
}
