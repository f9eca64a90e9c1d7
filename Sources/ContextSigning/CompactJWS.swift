// SPDX-License-Identifier: Apache-2.0

package import Notifications

/// A JWS in its compact serialisation (RFC 7515, 7.1): header, payload and signature in base64url, separated by dots.
package struct CompactJWS: Sendable {
    /// The longest token accepted, in bytes. ``ContextSigner`` makes tokens of about 900.
    package static let maximumBytes = 8192
    private static let maximumHeaderDepth = 4

    /// The protected header.
    package let header: JSONObject
    /// The payload.
    package let payload: [UInt8]
    private let signingInput: [UInt8]
    private let signature: [UInt8]

    /// Reads a token, without a check of its signature.
    ///
    /// - Throws: ``TokenError`` when the text is not a compact JWS, or is longer than ``maximumBytes``.
    package init(_ token: String) throws(TokenError) {
        guard token.utf8.count <= Self.maximumBytes else {
            throw TokenError("is longer than \(Self.maximumBytes) bytes")
        }
        let parts = token.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else {
            throw TokenError("is no compact JWS: it needs three parts with dots between them")
        }
        guard let header = Base64URL.decode(parts[0]), let payload = Base64URL.decode(parts[1]),
            let signature = Base64URL.decode(parts[2])
        else { throw TokenError("is no compact JWS: a part of it is not base64url without padding") }
        guard case .object(let object)? = try? JSONParser.parse(header.span, maximumDepth: Self.maximumHeaderDepth)
        else { throw TokenError("has a header that is no JSON object") }
        self.header = object
        self.payload = payload
        self.signature = signature
        self.signingInput = Array(token.utf8.prefix(parts[0].count + 1 + parts[1].count))
    }

    /// Checks the header and the signature.
    ///
    /// - Parameter key: the key that the token must be signed with. The key determines the algorithm; a header that
    ///   names another one, such as `none`, is rejected.
    /// - Throws: ``TokenError`` when a check fails.
    package func verify(with key: SigningKey) throws(TokenError) {
        // Extensions that a verifier must understand (RFC 7515, 4.1.11); none is supported here.
        guard self.header["crit"] == nil else { throw TokenError("needs extensions (crit), and none is known here") }
        guard let algorithm = self.header["alg"]?.string, algorithm.hasSameBytes(as: key.algorithm.rawValue) else {
            let named = self.header["alg"]?.string.map(\.excerpt) ?? "nothing"
            throw TokenError("says \(named) for its algorithm, and its key \(key.kid) is for \(key.algorithm.rawValue)")
        }
        if let type = self.header["typ"], type.string.map({ $0.utf8.elementsEqual("JWT".utf8) }) != true {
            throw TokenError("is of another type (typ) than JWT")
        }
        guard key.verify(self.signature, of: self.signingInput) else {
            throw TokenError("has a signature that is not that of the key \(key.kid)")
        }
    }

    /// Returns a token with this payload.
    ///
    /// - Returns: nil when the key can only check, or OpenSSL fails.
    package static func sign(_ payload: [UInt8], with key: SigningKey) -> String? {
        let header: JSONObject = [
            "alg": .string(key.algorithm.rawValue), "kid": .string(key.kid), "typ": "JWT",
        ]
        let signed = Base64URL.encode(JSONWriter.encode(.object(header))) + "." + Base64URL.encode(payload)
        return key.sign(Array(signed.utf8)).map { "\(signed).\(Base64URL.encode($0))" }
    }
}
