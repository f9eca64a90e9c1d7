// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL

/// SHA-256 (FIPS 180-4).
enum SHA256 {
    /// Returns the 32 bytes of the digest.
    static func digest(_ bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 0
        let isDone = EVP_Digest(bytes, bytes.count, &digest, &length, EVP_sha256(), nil)
        // It fails only when memory runs out. A digest of zeros instead would make all payloads equal.
        precondition(isDone == 1 && length == 32, "OpenSSL could not compute SHA-256")
        return digest
    }

    /// Returns the digest as 64 lower-case hexadecimal digits.
    static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: self.digest(bytes).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
