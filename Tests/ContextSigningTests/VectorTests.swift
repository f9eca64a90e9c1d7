// SPDX-License-Identifier: Apache-2.0

import Notifications
import Testing

@testable import ContextSigning

/// Tests with the examples of the specifications.
@Suite struct VectorTests {
    private func bytes(_ text: String) throws -> [UInt8] { try #require(Base64URL.decode(text.utf8)) }

    /// RFC 7515, appendix A.1.
    private static let hs256 =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
        + "LmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    private static let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"

    @Test("The HS256 example of RFC 7515 verifies and is reproduced")
    func hmacOfRFC7515() throws {
        let key = try SigningKey(kid: "a1", secret: self.bytes(Self.secret))
        let jws = try CompactJWS(Self.hs256)
        #expect(String(decoding: jws.payload, as: UTF8.self).hasPrefix(#"{"iss":"joe","#))
        try jws.verify(with: key)
        let parts = Self.hs256.split(separator: ".")
        let signature = try #require(key.sign(Array("\(parts[0]).\(parts[1])".utf8)))
        #expect(Base64URL.encode(signature) == parts[2])
    }

    /// RFC 8037, appendices A.1, A.4 and A.5.
    private static let edDSA =
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4"
        + "ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    private static let privateKey = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
    private static let publicKey = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

    @Test("The Ed25519 example of RFC 8037 verifies and is reproduced")
    func ed25519OfRFC8037() throws {
        let key = try SigningKey(kid: "a4", ed25519: self.bytes(Self.privateKey), isPrivate: true)
        let other = try SigningKey(kid: "a5", ed25519: self.bytes(Self.publicKey), isPrivate: false)
        let jws = try CompactJWS(Self.edDSA)
        #expect(String(decoding: jws.payload, as: UTF8.self) == "Example of Ed25519 signing")
        for key in [key, other] { try jws.verify(with: key) }
        let parts = Self.edDSA.split(separator: ".")
        let input = Array("\(parts[0]).\(parts[1])".utf8)
        #expect(key.sign(input).map(Base64URL.encode) == String(parts[2]))
        #expect(other.sign(input) == nil && !other.canSign && key.canSign)
    }

    /// RFC 4648, 10, without the padding.
    @Test(
        "Base64url encodes and decodes the examples of RFC 4648 without padding",
        arguments: [
            ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"), ("\u{FFFF}", "77-_"), ("a?>", "YT8-"),
        ])
    func base64URL(plain: String, encoded: String) {
        #expect(Base64URL.encode(Array(plain.utf8)) == encoded)
        #expect(Base64URL.decode(encoded.utf8) == Array(plain.utf8))
    }

    @Test(
        "Base64url text that is not canonical is rejected",
        arguments: ["Z", "Zg=", "Zg==", "Zh", "Zm9", "Zm+v", "Zm/v", " Zg", "Zg\n", "Zm9vY", "é"])
    func strictBase64URL(text: String) { #expect(Base64URL.decode(text.utf8) == nil) }

    /// The first example of FIPS 180-4, and the digest of no bytes.
    @Test("SHA-256 matches the example of FIPS 180-4 and the digest of no bytes")
    func sha256() {
        #expect(
            SHA256.hexadecimal(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            SHA256.hexadecimal([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }

    @Test(
        "Canonical JSON sorts members by code point and keeps numbers as written",
        arguments: [
            (#"{}"#, #"{}"#),
            (#"{ "b" : 1.50 , "a" : [ {"d":null,"c":true} ] }"#, #"{"a":[{"c":true,"d":null}],"b":1.50}"#),
            // In order of code points: of the last two, the first sorts after the second in UTF-16, and before it in
            // UTF-8.
            (
                #"{"\ud83d\ude00":1,"\uff5e":2,"Z":3,"a":4,"é":5}"#,
                #"{"Z":3,"a":4,"\u00e9":5,"\uff5e":2,"\ud83d\ude00":1}"#
            ),
            (#"{"a":"\u002f\u007f\u0000\b\u2028\"\\"}"#, #"{"a":"/\u007f\u0000\b\u2028\"\\"}"#),
            (
                #"{"a":-0.0,"b":1e5,"c":123456789012345678901234567890}"#,
                #"{"a":-0.0,"b":1e5,"c":123456789012345678901234567890}"#
            ),
        ])
    func canonicalJSON(text: String, canonical: String) throws {
        let value = try JSONValue(json: Array(text.utf8))
        #expect(String(decoding: CanonicalJSON.encode(value), as: UTF8.self) == canonical)
    }
}
