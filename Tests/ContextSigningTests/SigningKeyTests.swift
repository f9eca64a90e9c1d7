// SPDX-License-Identifier: Apache-2.0

import ContextSigning
import Foundation
import Glibc
import Notifications
import ProcessTesting
import Testing

/// Tests of keys, their files, and the files' permissions.
@Suite(.timeLimit(.minutes(1))) struct SigningKeyTests {
    private static let secret = "pl4nted-s3cret-pl4nted-s3cret-pl4nted"

    /// Runs the body with a new directory, and removes it.
    private func withDirectory<Result>(_ body: (URL) async throws -> Result) async throws -> Result {
        let directory = FileManager.default.temporaryDirectory.appending(path: "keys-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        return try await body(directory)
    }

    private func write(_ text: String, to file: URL, mode: Int = 0o600) throws -> String {
        try Data(text.utf8).write(to: file)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file.path)
        return file.path
    }

    private func openssl(_ arguments: String...) async throws {
        let process = try TestProcess("openssl", arguments)
        process.closeInput()
        let output = await process.outputUntilExit()
        #expect(!output.contains("rror"), "\(output)")
    }

    /// Runs the commands of Docs/operations.md.
    @Test("Keys and secrets that OpenSSL generates are accepted")
    func openSSLKeys() async throws {
        try await self.withDirectory { directory in
            let (own, shown) = (directory.appending(path: "own.pem").path, directory.appending(path: "shown.pem").path)
            let secret = directory.appending(path: "secret").path
            try await self.openssl("genpkey", "-algorithm", "ed25519", "-out", own)
            try await self.openssl("pkey", "-in", own, "-pubout", "-out", shown)
            try await self.openssl("rand", "-base64", "-out", secret, "48")
            for file in [own, secret] {
                try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: file)
            }
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: shown)
            let privateKey = try SigningKey(kid: "own", algorithm: .edDSA, file: own)
            let publicKey = try SigningKey(kid: "own", algorithm: .edDSA, file: shown)
            let shared = try SigningKey(kid: "shared", algorithm: .hs256, file: secret)
            #expect(privateKey.canSign && !publicKey.canSign && shared.canSign)
            let bytes = Array("signed".utf8)
            let signature = try #require(privateKey.sign(bytes))
            #expect(publicKey.verify(signature, of: bytes) && !publicKey.verify(signature, of: bytes + [0]))
            // The line end of the file is no part of the secret: another program that reads the line gets the same key.
            let line = try String(contentsOfFile: secret, encoding: .utf8).trimmingCharacters(in: .newlines)
            let same = try SigningKey(kid: "other", secret: Array(line.utf8))
            #expect(shared.sign(bytes) == same.sign(bytes))
            #expect(throws: SigningKeyError.self) { try ContextSigner(key: publicKey) }
        }
    }

    @Test(
        "A secret file with permissions for other users is rejected",
        arguments: [0o604, 0o644, 0o606, 0o602, 0o601, 0o620, 0o666])
    func secretPermissions(mode: Int) async throws {
        try await self.withDirectory { directory in
            let file = try self.write(Self.secret, to: directory.appending(path: "key"), mode: mode)
            let error = #expect(throws: SigningKeyError.self) {
                try SigningKey(kid: "k", algorithm: .hs256, file: file)
            }
            #expect(error?.description.contains(file) == true && error?.description.contains("chmod") == true)
            // The group of a file of root may read it, like every secret (FileAccessRule).
            for mode in [0o400, 0o600] + (geteuid() == 0 ? [0o640, 0o440] : []) {
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
                #expect(throws: Never.self) { try SigningKey(kid: "k", algorithm: .hs256, file: file) }
            }
        }
    }

    @Test("The owner of a context key's file is checked", .enabled(if: geteuid() == 0))
    func keyOwner() async throws {
        try await self.withDirectory { directory in
            let secret = try self.write(Self.secret, to: directory.appending(path: "secret"), mode: 0o600)
            let (own, shown) = (directory.appending(path: "own").path, directory.appending(path: "shown").path)
            try await self.openssl("genpkey", "-algorithm", "ed25519", "-out", own)
            try await self.openssl("pkey", "-in", own, "-pubout", "-out", shown)
            for (algorithm, file) in [(.hs256, secret), (.edDSA, own), (.edDSA, shown)]
                as [(SigningAlgorithm, String)]
            {
                try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
                #expect(throws: Never.self) { try SigningKey(kid: "k", algorithm: algorithm, file: file) }
                try #require(chown(file, 65_534, 65_534) == 0)
                let error = #expect(throws: SigningKeyError.self) {
                    try SigningKey(kid: "k", algorithm: algorithm, file: file)
                }
                #expect(error?.description.contains("chown root \(file)") == true, "\(error?.description ?? "")")
            }
        }
    }

    @Test("A public key that others can write is rejected, and one that they can read is accepted")
    func publicKeyPermissions() async throws {
        try await self.withDirectory { directory in
            let (own, shown) = (directory.appending(path: "own").path, directory.appending(path: "shown").path)
            try await self.openssl("genpkey", "-algorithm", "ed25519", "-out", own)
            try await self.openssl("pkey", "-in", own, "-pubout", "-out", shown)
            for (mode, isTaken) in [(0o644, true), (0o664, false), (0o646, false)] {
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: shown)
                #expect(((try? SigningKey(kid: "k", algorithm: .edDSA, file: shown)) != nil) == isTaken)
            }
        }
    }

    @Test("A file without a valid key is rejected with its path, and its content is not shown")
    func invalidKeyFiles() async throws {
        try await self.withDirectory { directory in
            let rsa = directory.appending(path: "rsa").path
            try await self.openssl(
                "genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", rsa)
            let short = try self.write(
                String(repeating: "x", count: 31) + "\n\r\n", to: directory.appending(path: "short"))
            let pem = try self.write(
                "-----BEGIN PUBLIC KEY-----\n" + Self.secret, to: directory.appending(path: "pem"))
            let large = try self.write(String(repeating: "x", count: 70_000), to: directory.appending(path: "large"))
            for (algorithm, file) in [
                (.hs256, short), (.hs256, pem), (.hs256, large), (.hs256, directory.path), (.hs256, "/dev/zero"),
                (.hs256, directory.path + "/missing"), (.edDSA, short), (.edDSA, pem), (.edDSA, rsa),
                (.edDSA, "/dev/null"),
            ] as [(SigningAlgorithm, String)] {
                let error = #expect(throws: SigningKeyError.self, "\(file)") {
                    try SigningKey(kid: "k", algorithm: algorithm, file: file)
                }
                #expect(error?.description.contains(file) == true, "\(error?.description ?? "")")
                #expect(error?.description.contains(Self.secret) == false)
            }
        }
    }

    /// A public key is known to everyone. The error explains the mistake of using it as an HS256 secret, in any format.
    @Test("Key and certificate files are rejected as secrets for HS256")
    func keyFilesAsSecrets() async throws {
        try await self.withDirectory { directory in
            let own = directory.appending(path: "own.pem").path
            try await self.openssl("genpkey", "-algorithm", "ed25519", "-out", own)
            var files: [String] = [own]
            for (name, form) in [("public.pem", "PEM"), ("public.der", "DER")] {
                let file = directory.appending(path: name).path
                try await self.openssl("pkey", "-in", own, "-pubout", "-outform", form, "-out", file)
                files.append(file)
            }
            let rsa = directory.appending(path: "rsa.pem").path
            try await self.openssl("genpkey", "-quiet", "-algorithm", "RSA", "-out", rsa)
            for (name, arguments) in [
                ("rsa.der", ["rsa", "-in", rsa, "-pubout", "-outform", "DER"]),
                ("rsa-1.der", ["rsa", "-in", rsa, "-RSAPublicKey_out", "-outform", "DER"]),
                ("own.der", ["pkey", "-in", own, "-outform", "DER"]),
                ("certificate.der", ["req", "-x509", "-key", own, "-subj", "/CN=x", "-outform", "DER"]),
            ] {
                let file = directory.appending(path: name).path
                let process = try TestProcess("openssl", arguments + ["-out", file])
                process.closeInput()
                _ = await process.outputUntilExit()
                files.append(file)
            }
            let pem = try String(contentsOfFile: directory.appending(path: "public.pem").path, encoding: .utf8)
            let point = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
            for (index, text) in [
                "\n\n\(pem)", "# The control plane's key\n\(pem)", "\u{FEFF}\(pem)",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGR1bW15IGtleSBmb3IgYSB0ZXN0IG9ubHkh a@b",
                "\n  ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTY= a@b",
                "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t a@b",
                "---- BEGIN SSH2 PUBLIC KEY ----\nAAAAC3NzaC1lZDI1NTE5AAAAIGR1bW15\n---- END SSH2 PUBLIC KEY ----",
                #"{"kty":"OKP","crv":"Ed25519","x":"\#(point)"}"#,
                "{\n  \"crv\": \"Ed25519\",\n  \"kty\" : \"OKP\", \"x\": \"\(point)\"}\n",
                #"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"\#(point)"}]}"#,
            ].enumerated() {
                files.append(try self.write(text, to: directory.appending(path: "text-\(index)")))
            }
            for file in files {
                try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
                let error = #expect(throws: SigningKeyError.self, "\(file)") {
                    try SigningKey(kid: "k", algorithm: .hs256, file: file)
                }
                #expect(
                    error?.description.contains("cannot be a secret for HS256") == true, "\(error?.description ?? "")")
            }
            // Secrets may begin like such files.
            for secret in [
                "{\(Self.secret)}", "0\(Self.secret)", "-----\(Self.secret)", "ssh\(Self.secret)", " \(Self.secret)",
            ] {
                #expect(throws: Never.self) { try SigningKey(kid: "k", secret: Array(secret.utf8)) }
            }
        }
    }

    @Test(
        "An empty, overlong or malformed key name is rejected",
        arguments: ["", "a b", "a:b", "é", "a/b", String(repeating: "k", count: 129)])
    func invalidKeyNames(kid: String) {
        #expect(throws: SigningKeyError.self) { try SigningKey(kid: kid, secret: Array(Self.secret.utf8)) }
    }

    @Test("Descriptions and dumps of keys and signers do not show the secret")
    func hiddenSecrets() throws {
        let key = try SigningKey(kid: "k", secret: Array(Self.secret.utf8))
        let signer = try ContextSigner(key: key)
        var dumped = ""
        dump(key, to: &dumped)
        dump(signer, to: &dumped)
        let bytes = Array(Self.secret.utf8).prefix(4).map(String.init)
        for text in ["\(key)", String(reflecting: key), "\(signer)", String(reflecting: signer), dumped] {
            #expect(!text.contains("pl4nted") && !text.contains(bytes.joined(separator: ", ")), "\(text)")
            #expect(text.contains("k, HS256") || text.contains("HS256"), "\(text)")
        }
    }

    @Test("A key set with two keys of one name is rejected")
    func duplicateKeyNames() throws {
        let key = try SigningKey(kid: "k", secret: Array(Self.secret.utf8))
        #expect(throws: SigningKeyError.self) { try SigningKeySet([key, key]) }
    }

    @Test("A lifetime that is not positive, or is longer than 31 days, is rejected", arguments: [0, -5, 2_678_401])
    func lifetimeBounds(seconds: Int) throws {
        let key = try SigningKey(kid: "k", secret: Array(Self.secret.utf8))
        #expect(throws: SigningKeyError.self) { try ContextSigner(key: key, lifetime: .seconds(seconds)) }
    }
}
