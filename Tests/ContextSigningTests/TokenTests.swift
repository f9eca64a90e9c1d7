// SPDX-License-Identifier: Apache-2.0

import Notifications
import Testing

@testable import ContextSigning

/// Tests of which tokens are accepted and which are rejected.
@Suite struct TokenTests {
    private static let secret = Array("0123456789abcdef0123456789abcdef".utf8)
    private static let seed = Array("fedcba9876543210fedcba9876543210".utf8)

    private static func keys() throws -> [SigningKey] {
        [
            try SigningKey(kid: "shared", secret: Self.secret),
            try SigningKey(kid: "pair", ed25519: Self.seed, isPrivate: true),
        ]
    }

    private static let context = NotificationContext(
        operation: "database_create", requestID: "req-1", tenantID: "tenant-1", userID: "user-1", clientIP: "192.0.2.7",
        payload: ["instance_id": "i-1", "dbname": "shop"], requestContext: ["roles": ["member"], "is_admin": false])

    private func token(header: JSONObject, claims: String = "{}", key: SigningKey? = nil) throws -> String {
        let signed =
            Base64URL.encode(JSONWriter.encode(.object(header))) + "." + Base64URL.encode(Array(claims.utf8))
        return signed + "." + Base64URL.encode(key?.sign(Array(signed.utf8)) ?? [])
    }

    @Test("A signed context is read back with all its claims", arguments: [0, 1])
    func signedContext(number: Int) throws {
        let keys = try Self.keys()
        let before = NotificationTimestamp.now().microsecondsSinceEpoch / 1_000_000
        let signed = try ContextSigner(key: keys[number], lifetime: .seconds(90)).sign(Self.context, instanceID: "i-1")
        let payload = try SigningKeySet(keys).payload(of: try #require(signed.token))
        let claims = try ContextClaims(payload)
        #expect((Double(before)...Double(before) + 60).contains(claims.issuedAt))
        #expect(claims.expiresAt == claims.issuedAt + 90 && claims.notBefore == nil)
        #expect(claims.operation == "database_create" && claims.requestID == "req-1" && claims.tenantID == "tenant-1")
        #expect(claims.userID == "user-1" && claims.clientIP == "192.0.2.7" && claims.instanceID == "i-1")
        #expect(claims.payloadDigest == CanonicalJSON.digest(Self.context.payload))
        #expect(claims.requestContextDigest == CanonicalJSON.digest(["is_admin": false, "roles": ["member"]]))
        #expect(claims.identifier.flatMap(MessageID.init) != nil)
        // The rest of the context is unchanged.
        var unsigned = signed
        unsigned.token = nil
        #expect(unsigned == Self.context)
        // Two signatures are for two operations, unless the signer sets an identifier.
        let second = try ContextSigner(key: keys[number]).sign(Self.context)
        let other = try SigningKeySet(keys).payload(of: try #require(second.token))
        let fingerprint = try ContextClaims(other).fingerprint(of: other, operation: "database_create")
        #expect(fingerprint != claims.fingerprint(of: payload, operation: "database_create"))
    }

    /// Replaces, removes and doubles each character of a token.
    @Test("A token with any character replaced, removed or doubled is rejected", arguments: [0, 1])
    func changedCharacters(number: Int) throws {
        let keys = try Self.keys()
        let set = try SigningKeySet(keys)
        let token = try #require(try ContextSigner(key: keys[number]).sign(Self.context).token)
        _ = try set.payload(of: token)
        let characters = Array(token.utf8)
        for index in characters.indices {
            for change in [
                [UInt8(ascii: "A")], [UInt8(ascii: "b")], [UInt8(ascii: ".")], [UInt8(ascii: "=")], [],
                [
                    characters[index], characters[index],
                ],
            ] where change != [characters[index]] {
                let changed = characters[..<index] + change + characters[(index + 1)...]
                let text = String(decoding: changed, as: UTF8.self)
                guard text != token else { continue }
                #expect(throws: TokenError.self, "\(text) was taken") { try set.payload(of: text) }
            }
            // In the last character of a part, only unused bits could differ, and these must be zero.
            let value = characters[index] == UInt8(ascii: "g") ? UInt8(ascii: "h") : UInt8(ascii: "g")
            let changed = String(decoding: characters[..<index] + [value] + characters[(index + 1)...], as: UTF8.self)
            #expect(throws: TokenError.self) { try set.payload(of: changed) }
        }
    }

    @Test("The key determines the algorithm, not the token's header")
    func algorithmFromKey() throws {
        let keys = try Self.keys()
        let set = try SigningKeySet(keys)
        // A public key, which everyone knows, as the secret of an HMAC.
        let guessed = try SigningKey(kid: "pair", secret: Self.seed)
        let confused: [(JSONObject, SigningKey?)] = [
            (["alg": "none", "kid": "shared"], nil), (["alg": "none", "kid": "shared"], keys[0]),
            (["alg": "None", "kid": "shared"], keys[0]), (["alg": "HS512", "kid": "shared"], keys[0]),
            (["alg": "hs256", "kid": "shared"], keys[0]), (["alg": "EdDSA", "kid": "shared"], keys[0]),
            (["alg": "HS256", "kid": "pair"], guessed), (["alg": "HS256", "kid": "pair"], keys[1]),
            (["alg": "EdDSA", "kid": "pair"], guessed), (["alg": "HS256", "kid": "shared"], keys[1]),
            (["alg": ["HS256"], "kid": "shared"], keys[0]), (["kid": "shared"], keys[0]),
        ]
        for (header, key) in confused {
            let token = try self.token(header: header, key: key)
            #expect(throws: TokenError.self, "\(header)") { try set.payload(of: token) }
        }
        let good = try self.token(header: ["alg": "HS256", "kid": "shared"], key: keys[0])
        #expect(try set.payload(of: good) == Array("{}".utf8))
    }

    @Test("A header with crit, another typ or an unknown kid is rejected; other members are ignored")
    func unsupportedHeaders() throws {
        let keys = try Self.keys()
        let set = try SigningKeySet(keys)
        let refused: [(JSONObject, String)] = [
            (["alg": "HS256", "kid": "shared", "crit": ["exp"], "exp": 1], "crit"),
            (["alg": "HS256", "kid": "shared", "crit": .null], "crit"),
            (["alg": "HS256"], "kid"), (["alg": "HS256", "kid": 1], "kid"),
            (["alg": "HS256", "kid": "old"], "\"old\""), (["alg": "HS256", "kid": "shared", "typ": "at+jwt"], "typ"),
            (["alg": "HS256", "kid": "shared\u{301}"], "unknown"),
        ]
        for (header, word) in refused {
            let token = try self.token(header: header, key: keys[0])
            let error = #expect(throws: TokenError.self) { try set.payload(of: token) }
            #expect(error?.problem.contains(word) == true, "\(error?.problem ?? "")")
        }
        // Unknown header members are ignored (RFC 7515, 4), keys and addresses of keys among them.
        let good = try self.token(
            header: ["alg": "HS256", "kid": "shared", "typ": "JWT", "jku": "https://evil.example", "x": 1], key: keys[0]
        )
        #expect(throws: Never.self) { try set.payload(of: good) }
    }

    @Test("Malformed tokens are rejected")
    func malformedTokens() throws {
        let set = try SigningKeySet(Self.keys())
        let nested = String(repeating: "[", count: 100) + String(repeating: "]", count: 100)
        for text in [
            "", ".", "..", "...", "a.b", "a.b.c.d", "e30.e30.", "e30.e30.e30", "W10.e30.AAAA",
            "\u{301}.\u{301}.\u{301}",
            String(repeating: "A", count: 9000), String(repeating: ".", count: 8000),
            Base64URL.encode(Array(nested.utf8)) + ".e30.AAAA",
            // Two readers could read two algorithms.
            Base64URL.encode(Array(#"{"alg":"HS256","alg":"none","kid":"shared"}"#.utf8)) + ".e30.AAAA",
        ] { #expect(throws: TokenError.self, "\(text.prefix(40))") { try set.payload(of: text) } }
    }

    @Test(
        "Malformed claims are rejected",
        arguments: [
            #"[]"#, #"{"#, #"{}"#, #"{"iat":1,"exp":"2"}"#, #"{"iat":-1,"exp":2}"#, #"{"iat":1,"exp":1e300}"#,
        ])
    func malformedClaims(text: String) {
        #expect(throws: TokenError.self) { try ContextClaims(Array(text.utf8)) }
    }

    @Test("Each claim must have the right type, and all but the optional ones are required")
    func claimRules() throws {
        let claims = ContextClaims(Self.context, instanceID: "i-1", issuedAt: 1000, lifetime: 60)
        #expect(throws: Never.self) { try ContextClaims(JSONWriter.encode(.object(claims.json))) }
        let optional = ["jti", "user_id", "client_ip", "instance_id", "request_context_sha256"]
        for member in claims.json.members {
            var changed = claims.json
            changed[member.name] = ["x"]
            #expect(throws: TokenError.self) { try ContextClaims(JSONWriter.encode(.object(changed))) }
            changed[member.name] = nil
            let text = JSONWriter.encode(.object(changed))
            if optional.contains(member.name) {
                #expect(throws: Never.self) { try ContextClaims(text) }
            } else {
                let error = #expect(throws: TokenError.self) { try ContextClaims(text) }
                #expect(error?.problem.contains(member.name) == true)
            }
        }
        for (audience, isTaken) in [
            ("conductor", true), (["a", "conductor"], true), ("other", false), (["a"], false), (1, false),
        ] as [(JSONValue, Bool)] {
            var changed = claims.json
            changed["aud"] = audience
            let text = JSONWriter.encode(.object(changed))
            #expect(((try? ContextClaims(text)) != nil) == isTaken, "\(audience)")
        }
    }
}
