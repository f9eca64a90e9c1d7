// SPDX-License-Identifier: Apache-2.0

import ContextSigning
import Foundation

/// Reads keys for the signatures of contexts. The first byte says what the rest is:
///
/// - `0`, `1`: the content of a key file, for HS256 and for EdDSA, after a byte of permissions;
/// - `2`, `3`: the bytes of an Ed25519 key, private and public, as in a JWK;
/// - `4`: the names of a set's keys, one a line.
enum FuzzedKeys {
    static func problem(with bytes: [UInt8]) -> String? {
        var input = FuzzBytes(bytes)
        switch input.number(below: 6) {
        case 0: return self.file(&input, .hs256)
        case 1: return self.file(&input, .edDSA)
        case 2: return self.bytes(input.remainder(), isPrivate: true)
        case 3: return self.bytes(input.remainder(), isPrivate: false)
        default: return self.names(&input)
        }
    }

    private static let file = ScratchFile("key")
    private static let message = Array("header.claims".utf8)

    private static func file(_ input: inout FuzzBytes, _ algorithm: SigningAlgorithm) -> String? {
        // The permission bits for users other than the owner.
        let mode = input.byte() & 0o77
        let content = input.remainder()
        let key: SigningKey
        do {
            key = try self.file.with(content, mode: 0o600 | Int(mode)) { path in
                try SigningKey(kid: "a", algorithm: algorithm, file: path)
            }
        } catch {
            return self.problem(in: "\(error)", content)
        }
        guard key.algorithm == algorithm else { return "a key has chosen its own algorithm" }
        // Only the owner may change the file; others may not read one that can sign either.
        guard mode & 0o22 == 0, !key.canSign || mode & 0o07 == 0 else {
            return "a key was taken from a file of mode 06\(String(mode, radix: 8))"
        }
        if let problem = self.problem(with: key) { return problem }
        switch algorithm {
        case .edDSA:
            return String(decoding: content, as: UTF8.self).contains("-----BEGIN ")
                ? nil : "a key was read where none is"
        case .hs256:
            var secret = content
            while let last = secret.last, last == 0x0A || last == 0x0D { secret.removeLast() }
            guard (32...4096).contains(secret.count), !secret.starts(with: "-----BEGIN ".utf8) else {
                return "a secret was taken that must not be"
            }
            guard let same = try? SigningKey(kid: "b", secret: secret),
                same.sign(self.message) == key.sign(self.message)
            else { return "the secret is not that of the file" }
            return nil
        }
    }

    private static func bytes(_ bytes: [UInt8], isPrivate: Bool) -> String? {
        guard let key = try? SigningKey(kid: "a", ed25519: bytes, isPrivate: isPrivate) else { return nil }
        guard bytes.count == 32, key.canSign == isPrivate else { return "a key of \(bytes.count) bytes was taken" }
        return self.problem(with: key)
    }

    /// Checks that a key's description does not show it, and that it accepts what it signs, and nothing near it.
    private static func problem(with key: SigningKey) -> String? {
        guard "\(key)" == "SigningKey(\(key.kid), \(key.algorithm.rawValue))" else { return "a key shows itself" }
        guard let signature = key.sign(self.message) else { return key.canSign ? "a key does not sign" : nil }
        guard key.canSign, key.verify(signature, of: self.message) else { return "a key does not know its signature" }
        var other = signature
        other[0] ^= 1
        return key.verify(other, of: self.message) || key.verify(signature, of: self.message + [0])
            || key.verify(Array(signature.dropLast()), of: self.message) ? "a key takes what it has not signed" : nil
    }

    private static func names(_ input: inout FuzzBytes) -> String? {
        let secret = [UInt8](repeating: 7, count: 32)
        var keys: [SigningKey] = []
        while !input.isEmpty, keys.count < 80 {
            let line = input.line()
            let name = String(decoding: line, as: UTF8.self)
            let isName =
                (1...128).contains(line.count)
                && line.allSatisfy { byte in
                    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-".utf8.contains(byte)
                }
            let key = try? SigningKey(kid: name, secret: secret)
            guard (key != nil) == isName else { return "a name was \(isName ? "refused" : "taken") against the rule" }
            if let key { keys.append(key) }
        }
        let isSound = Set(keys.map(\.kid)).count == keys.count && keys.count <= 64
        return ((try? SigningKeySet(keys)) != nil) == isSound ? nil : "a set was judged against the rule"
    }

    /// Checks that an error names the file, and shows nothing of its content.
    private static func problem(in error: String, _ content: [UInt8]) -> String? {
        guard !error.isEmpty, error.utf8.count < 1024 else { return "an error is empty or too long" }
        return error.contains(self.planted) && String(decoding: content, as: UTF8.self).contains(self.planted)
            ? "an error holds a part of the key" : nil
    }

    /// A text in secrets of the corpus.
    private static let planted = "zQ9planted"
}
