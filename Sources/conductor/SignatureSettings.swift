// SPDX-License-Identifier: Apache-2.0

import ConductorService
import ContextSigning
import Settings

/// The settings of signed contexts, and the values made from them.
enum SignatureSettings {
    /// The declarations of these settings.
    static let declarations: [Setting] = [
        .choice(
            "context_signatures.mode", among: ContextVerifier.Policy.allCases.map(\.rawValue),
            default: Self.verifier.policy.rawValue,
            help:
                "Verify contexts' signatures: `require` demands one, `accept` verifies those that are signed, `off` verifies none."
        ),
        .strings(
            Self.keys,
            help: "Accept signatures by these keys, `kid:alg:path` each; alg is `EdDSA` (PEM) or `HS256` (the "
                + "secret itself)."),
        .seconds(
            "context_signatures.clock_skew", 0...600, default: Self.verifier.clockSkew,
            help: "Allow signers' clocks to differ from the conductor's by this much."),
        .seconds(
            "context_signatures.grace", 0...2_592_000, default: Self.verifier.grace,
            help: "Accept a token this long after its expiry, for outcomes that waited in their guest."),
        .seconds(
            "context_signatures.maximum_lifetime", 1...Double(ContextSigner.longestLifetime),
            default: Self.verifier.maximumLifetime,
            help: "Reject tokens with a longer time than this between issue and expiry."),
        .integer(
            "context_signatures.remembered_operations", 1...10_000_000,
            default: Self.verifier.rememberedOperations,
            help: "Remember this many signed operations that have ended, or may have, dropping the oldest first."),
        .string(
            Self.signingKey, help: "Use this key for `conductor context --sign`, `kid:alg:path`."),
        .seconds(
            Self.lifetime, 1...Double(ContextSigner.longestLifetime), default: ContextSigner.defaultLifetime,
            help: "Make the tokens of `conductor context --sign` valid for this long."),
        .string(
            Self.keyDirectory,
            help:
                "Read more such keys from this directory, `KID.EdDSA` or `KID.HS256` each; checked as often as the files of "
                + "`tls`."),
    ]

    private static let verifier = ContextVerifier.Configuration(policy: .off)
    fileprivate static let keys = "context_signatures.keys"
    fileprivate static let keyDirectory = "context_signatures.key_directory"
    fileprivate static let signingKey = "context_signatures.signing_key"
    fileprivate static let lifetime = "context_signatures.lifetime"

    /// Returns the key that `kid:alg:path` names. Does not read its file.
    fileprivate static func named(
        _ text: String, setting: String
    ) throws(SignatureSettingsError) -> SigningKeyFiles.Named {
        // A path may contain colons.
        let parts = text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, !parts[2].isEmpty else {
            throw SignatureSettingsError(setting, "\(text.debugDescription) must be kid:alg:path")
        }
        guard let algorithm = SigningAlgorithm(rawValue: parts[1]) else {
            let known = SigningAlgorithm.allCases.map(\.rawValue)
            throw SignatureSettingsError(
                setting,
                "\(parts[1].debugDescription) is no algorithm; write \(known.joined(separator: " or "))"
                    + SpellingSuggestion.hint(for: parts[1], among: known))
        }
        return SigningKeyFiles.Named(kid: parts[0], algorithm: algorithm, path: parts[2])
    }

    /// Reads the keys that contexts may be signed with.
    ///
    /// - Parameter mayBeEmpty: whether a set without keys is allowed.
    /// - Throws: ``SignatureSettingsError``.
    static func read(_ files: SigningKeyFiles, mayBeEmpty: Bool) throws(SignatureSettingsError) -> SigningKeySet {
        let named = try self.keys(self.keys) { () throws(SigningKeyError) in files.named }
        let found = try self.keys(self.keyDirectory) { () throws(SigningKeyError) in try files.inDirectory() }
        guard mayBeEmpty || !(named + found).isEmpty else {
            throw SignatureSettingsError(
                self.keys,
                "is empty, and context_signatures.mode is not off; name at least one key, here or in "
                    + self.keyDirectory)
        }
        do {
            return try SigningKeySet(named + found)
        } catch {
            throw SignatureSettingsError(self.keys, "\(error)")
        }
    }

    private static func keys(
        _ setting: String, _ list: () throws(SigningKeyError) -> [SigningKeyFiles.Named]
    ) throws(SignatureSettingsError) -> [SigningKey] {
        do {
            var keys: [SigningKey] = []
            for named in try list() { keys.append(try named.key()) }
            return keys
        } catch {
            throw SignatureSettingsError(setting, "\(error)")
        }
    }
}

extension Settings {
    /// Returns the files of the keys that contexts may be signed with.
    ///
    /// - Throws: ``SignatureSettingsError``.
    func signingKeyFiles() throws -> SigningKeyFiles {
        let setting = SignatureSettings.keys
        return SigningKeyFiles(
            named: try self.strings(setting).map { try SignatureSettings.named($0, setting: setting) },
            directory: try self.optionalString(SignatureSettings.keyDirectory))
    }

    /// Returns the verifier of contexts, and the keys that contexts may be signed with; nil when signatures are not
    /// checked. Reads the key files even then, so that their errors are known before signatures are checked.
    ///
    /// - Throws: ``SignatureSettingsError``.
    func contextVerifier() throws -> (verifier: ContextVerifier, keys: LiveSigningKeys)? {
        let policy = ContextVerifier.Policy(rawValue: try self.string("context_signatures.mode")) ?? .require
        let keys = try SignatureSettings.read(try self.signingKeyFiles(), mayBeEmpty: policy == .off)
        guard policy != .off else { return nil }
        var configuration = ContextVerifier.Configuration(policy: policy)
        configuration.clockSkew = try self.seconds("context_signatures.clock_skew")
        configuration.grace = try self.seconds("context_signatures.grace")
        configuration.maximumLifetime = try self.seconds("context_signatures.maximum_lifetime")
        configuration.rememberedOperations = try self.integer("context_signatures.remembered_operations")
        let live = LiveSigningKeys(keys)
        return (ContextVerifier(keys: live, configuration: configuration), live)
    }

    /// Returns the signer of contexts.
    ///
    /// - Throws: ``SignatureSettingsError``.
    func contextSigner() throws -> ContextSigner {
        let setting = SignatureSettings.signingKey
        guard let text = try self.optionalString(setting) else {
            throw SignatureSettingsError(setting, "has no value, and --sign needs it; set it to kid:alg:path")
        }
        do {
            return try ContextSigner(
                key: try SignatureSettings.named(text, setting: setting).key(),
                lifetime: try self.duration(SignatureSettings.lifetime))
        } catch let error as SigningKeyError {
            throw SignatureSettingsError(setting, "\(error)")
        }
    }
}

/// An error for a setting of signed contexts that cannot be used.
struct SignatureSettingsError: Error, CustomStringConvertible {
    /// One sentence that begins with the setting's name.
    let description: String

    init(_ setting: String, _ problem: String) { self.description = "\(setting): \(problem)." }
}
