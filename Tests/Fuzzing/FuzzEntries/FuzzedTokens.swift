// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import ContextSigning
import Foundation
import Notifications

/// Checks tokens as a conductor does, with keys of both algorithms. The first byte says what the rest is:
///
/// - `0`: a token;
/// - `1`: changes to a valid token: which one, then pairs of place and value;
/// - `2`: the number of a key, a header's line and claims: the entry signs them itself;
/// - `3`: JSON text, for its canonical form.
enum FuzzedTokens {
    static func problem(with bytes: [UInt8]) -> String? {
        guard let keys = self.keys else { return "no keys could be made" }
        var input = FuzzBytes(bytes)
        switch input.number(below: 4) {
        case 0: return self.token(String(decoding: input.remainder(), as: UTF8.self), keys)
        case 1: return self.changed(&input, keys)
        case 2: return self.signed(&input, keys)
        default: return FuzzedCanonicalJSON.problem(with: input.remainder())
        }
    }

    private struct Keys {
        let all: [SigningKey]
        let verifier: ContextVerifier
        /// Valid tokens. All signatures are deterministic, so there is one for each key and text.
        let genuine: [String]
    }

    /// Keys that are not in use: the secrets are planted to be searched for, and the private key is that of RFC 8037's
    /// example.
    private static let secrets = ["jQ7planted-one-0123456789abcdefghij", "kW2planted-two-0123456789abcdefghij"]
    private static let privateKey = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"

    private static let keys: Keys? = {
        guard let seed = FuzzedTokens.bytes(ofBase64URL: FuzzedTokens.privateKey),
            let public2 = FuzzedTokens.bytes(ofBase64URL: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            let keys = try? [
                SigningKey(kid: "hs-one", secret: Array(FuzzedTokens.secrets[0].utf8)),
                SigningKey(kid: "hs-two", secret: Array(FuzzedTokens.secrets[1].utf8)),
                SigningKey(kid: "ed-one", ed25519: seed, isPrivate: true),
                SigningKey(kid: "ed-two", ed25519: Array(seed.reversed()), isPrivate: true),
                // The public half of another key, which can only verify.
                SigningKey(kid: "ed-public", ed25519: public2, isPrivate: false),
            ], let set = try? SigningKeySet(keys)
        else { return nil }
        let claims = Array(SignedReport.claims.utf8)
        return Keys(
            all: keys,
            verifier: ContextVerifier(keys: set, configuration: ContextVerifier.Configuration(policy: .require)),
            genuine: keys.compactMap { CompactJWS.sign(claims, with: $0) })
    }()

    // MARK: - Accepted tokens and claims

    /// Checks that a token that the entry did not sign is one of the genuine ones, or rejected.
    private static func token(_ token: String, _ keys: Keys) -> String? {
        if let problem = self.spelling(of: token) { return problem }
        switch self.verdict(on: token, keys) {
        case .failure(let error): return self.problem(in: error.description, of: token, keys)
        case .success: return keys.genuine.contains(token) ? nil : "a token that was not signed was accepted"
        }
    }

    private static func changed(_ input: inout FuzzBytes, _ keys: Keys) -> String? {
        var token = Array(input.choice(keys.genuine).utf8)
        while !input.isEmpty {
            let place = (Int(input.byte()) << 8 | Int(input.byte())) % token.count
            token[place] = input.byte()
        }
        return self.token(String(decoding: token, as: UTF8.self), keys)
    }

    /// Checks that a token that a key has signed is accepted only if header and claims are as the documents require.
    private static func signed(_ input: inout FuzzBytes, _ keys: Keys) -> String? {
        let key = input.choice(keys.all.filter(\.canSign))
        let (header, claims) = (input.line(), input.remainder())
        let text = "\(self.base64URL(header)).\(self.base64URL(claims))"
        guard let signature = key.sign(Array(text.utf8)) else { return "the key does not sign" }
        let token = "\(text).\(self.base64URL(signature))"
        if let problem = self.claims(claims) ?? self.spelling(of: token) { return problem }
        switch self.verdict(on: token, keys) {
        case .failure(let error): return self.problem(in: error.description, of: token, keys)
        case .success:
            guard let object = (try? JSONValue(json: header))?.object else { return "a header is no object" }
            guard self.isSame(object["kid"], key.kid), self.isSame(object["alg"], key.algorithm.rawValue) else {
                return "a token was taken for another key or algorithm than signed it"
            }
            guard object["crit"] == nil, object["typ"].map({ self.isSame($0, "JWT") }) ?? true else {
                return "a token was taken whose header must not be understood"
            }
            return SignedReport.problem(withAccepted: claims)
        }
    }

    /// Checks that claims that can be read are written and read as the same.
    private static func claims(_ bytes: [UInt8]) -> String? {
        guard let claims = try? ContextClaims(bytes) else { return nil }
        guard let again = try? ContextClaims(JSONWriter.encode(.object(claims.json))) else {
            return "claims that were written cannot be read"
        }
        guard JSONWriter.encode(.object(again.json)) == JSONWriter.encode(.object(claims.json)) else {
            return "claims that were written are others"
        }
        let one = claims.fingerprint(of: bytes, operation: claims.operation)
        let other = again.fingerprint(of: bytes, operation: again.operation)
        return one == other && one.count == 32 ? nil : "an operation is remembered by another name"
    }

    private static func verdict(on token: String, _ keys: Keys) -> Result<Void, RPCError> {
        guard let operation = Catalogues.builtIn.operation("database_create") else { return .success(()) }
        do throws(RPCError) {
            let verified = try keys.verifier.verify(
                SignedReport.report(token), operation: operation, instance: "inst-1", now: SignedReport.now)
            // After its expiry, a token is accepted only for what was published before.
            if let expiry = verified?.expiryError { throw expiry }
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    // MARK: - Errors and spellings

    /// Checks that an error explains what is wrong with a token, and shows nothing of the keys but the name in the
    /// token.
    private static func problem(in error: String, of token: String, _ keys: Keys) -> String? {
        if error.utf8.count > 1024 { return "an error is \(error.utf8.count) bytes long" }
        guard error.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else { return "an error holds control characters" }
        let header = token.split(separator: ".", omittingEmptySubsequences: false).first.map { String($0) } ?? ""
        let said = self.bytes(ofBase64URL: header).map { String(decoding: $0, as: UTF8.self) } ?? ""
        for key in keys.all where error.contains(key.kid) && !said.contains(key.kid) {
            // The header may write the name with escapes.
            guard said.contains("\\u") else { return "an error names a key that the token does not" }
        }
        return self.secrets.contains { error.contains($0.prefix(12)) } && !self.secrets.contains { said.contains($0) }
            ? "an error holds a key" : nil
    }

    /// Checks that only one encoding of the bytes is accepted.
    private static func spelling(of token: String) -> String? {
        guard let jws = try? CompactJWS(token) else { return nil }
        let parts = token.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else { return "a token of \(parts.count) parts" }
        for part in parts {
            let text = String(decoding: part, as: UTF8.self)
            guard let bytes = self.bytes(ofBase64URL: text), self.base64URL(bytes) == text else {
                return "a part was taken that no encoder writes"
            }
        }
        return self.base64URL(jws.payload).utf8.elementsEqual(parts[1]) ? nil : "the payload is another"
    }

    private static func isSame(_ value: JSONValue?, _ text: String) -> Bool {
        value?.string?.hasSameBytes(as: text) ?? false
    }

    /// Encodes with Foundation's base64, as a comparison.
    private static func base64URL(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    private static func bytes(ofBase64URL text: String) -> [UInt8]? {
        let padding = String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        let standard = text.replacing("-", with: "+").replacing("_", with: "/") + padding
        return Data(base64Encoded: standard).map { Array($0) }
    }
}
