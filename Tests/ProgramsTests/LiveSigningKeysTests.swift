// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

/// Keys of signed contexts that are added and removed while the conductor runs.
@Suite("Signing key reload", .timeLimit(.minutes(3)))
struct LiveSigningKeysTests {
    /// A fixture's key directory, and a control plane that signs with any secret.
    private struct Keys {
        let relay: RelayFixture
        let configuration: String

        /// - Parameter interval: the seconds between the conductor's checks.
        init(_ relay: RelayFixture, interval: Double = 0.1) throws {
            self.relay = relay
            self.configuration = relay.path("conductor.yaml")
            try FileManager.default.createDirectory(
                atPath: relay.path("keys"), withIntermediateDirectories: false,
                attributes: [.posixPermissions: 0o700])
            try self.configure(named: [], interval: interval)
        }

        /// Writes the conductor's configuration file.
        func configure(named: [String], interval: Double = 0.1) throws {
            let list = named.map { "\"\($0):HS256:\(self.relay.path("secret-\($0)"))\"" }.joined(separator: ", ")
            let file = try self.relay.conductorFile(
                more: """
                    context_signatures:
                      mode: require
                      keys: [\(list)]
                      key_directory: \(self.relay.path("keys"))
                    """)
            let text = try String(contentsOfFile: file, encoding: .utf8).replacing(
                "drivers:", with: "  reload_interval: \(interval)\ndrivers:")
            _ = try self.relay.write(text, to: "conductor.yaml")
        }

        /// Makes a secret of this name, which no conductor has yet.
        func make(_ kid: String, _ salt: String = "") throws {
            _ = try self.relay.write("\(kid)\(salt): 0123456789abcdef0123456789abcdef\n", to: "secret-\(kid)")
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o600], ofItemAtPath: self.relay.path("secret-\(kid)"))
        }

        /// Puts the secret into the directory atomically.
        func install(_ kid: String, mode: Int = 0o600) throws {
            let new = self.relay.path("keys/.\(kid)")
            try FileManager.default.copyItem(atPath: self.relay.path("secret-\(kid)"), toPath: new)
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: new)
            try #require(rename(new, self.relay.path("keys/\(kid).HS256")) == 0)
        }

        func remove(_ kid: String) throws {
            try FileManager.default.removeItem(atPath: self.relay.path("keys/\(kid).HS256"))
        }

        /// Returns the line that a guest sends to end an operation whose context is signed with this secret.
        func report(_ kid: String, id: Int) async throws -> String {
            let payload = try self.relay.write(#"{"instance_id": "guest-1", "dbname": "shop"}"#, to: "payload.json")
            let end = try await Program.conductor.run([
                "context", "database_create", "--tenant", "tenant-1", "--client-ip", "192.0.2.7", "--payload", payload,
                "--sign", "--set",
                "context_signatures.signing_key=\(kid):HS256:\(self.relay.path("secret-\(kid)"))",
            ])
            try #require(end.status == .exited(0), "\(end.errorText)")
            let context = try #require(end.standardOutput.first)
            return #"{"jsonrpc":"2.0","id":\#(id),"method":"notify_end","params":{"context":\#(context)}}"#
        }
    }

    /// Runs a conductor, and a guest with one connection throughout.
    private func serve(
        _ keys: Keys, _ body: (RelayFixture.Conductor, (String) async throws -> String) async throws -> Void
    ) async throws -> ProgramEnd {
        let end = try await Program.conductor.run(["serve", "--config", keys.configuration]) { program in
            let conductor = try await keys.relay.listening(program)
            try await keys.relay.withTerminal(port: conductor.port) { guest in
                var id = 0
                try await body(conductor) { kid in
                    id += 1
                    try await guest.write(try await keys.report(kid, id: id))
                    return try await guest.standardOutput.line(containing: #""id":\#(id),"#)
                }
            }
            try program.send(.terminate)
        }
        #expect(end.status == .exited(0), "\(end.errorText)")
        // The log contains no part of a key.
        #expect(!end.errorText.contains("0123456789abcdef"))
        return end
    }

    @Test("Keys that are added to or removed from the directory take effect while serve runs")
    func rotation() async throws {
        try await RelayFixture.with { relay in
            let keys = try Keys(relay)
            for kid in ["old", "new"] { try keys.make(kid) }
            try keys.install("old")
            _ = try await self.serve(keys) { conductor, answer in
                let log = conductor.program.standardError
                #expect(try await answer("old").contains("published"))
                #expect(try await answer("new").contains("unknown here"))
                try keys.install("new")
                var line = try await log.line(containing: "Reloaded the signing keys of contexts")
                #expect(line.contains("added=new") && line.contains("in_use=new old"), "\(line)")
                #expect(try await answer("new").contains("published"))
                #expect(try await answer("old").contains("published"))
                try keys.remove("old")
                line = try await log.line(containing: "removed=old")
                #expect(line.contains("in_use=new"), "\(line)")
                let refused = try await answer("old")
                #expect(refused.contains("not_permitted") && refused.contains("unknown here"), "\(refused)")
                #expect(try await answer("new").contains("published"))
                // Another key under an existing name.
                try keys.make("new", " again")
                try FileManager.default.removeItem(atPath: relay.path("keys/new.HS256"))
                try keys.install("new")
                try await log.line(containing: "replaced=new")
                #expect(try await answer("new").contains("published"))
            }
        }
    }

    @Test("Unusable key files are logged, and the last good keys stay in use")
    func unusableFiles() async throws {
        try await RelayFixture.with { relay in
            let keys = try Keys(relay)
            try keys.make("old")
            try keys.make("new")
            try keys.install("old")
            _ = try await self.serve(keys) { conductor, answer in
                let log = conductor.program.standardError
                func mode(_ mode: Int, _ name: String) throws {
                    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: relay.path(name))
                }
                var count = 0
                func refused(_ word: String, _ change: () throws -> Void, _ mend: () throws -> Void) async throws {
                    count += 1
                    try change()
                    try conductor.program.send(.terminalClosed)
                    let line = try await log.line(
                        containing: "Failed to load the signing keys of contexts", count: count)
                    #expect(line.contains(word) && line.contains("context_signatures.key"), "\(line)")
                    #expect(try await answer("old").contains("published"))
                    #expect(try await answer("new").contains("unknown here"))
                    // Noticed without a signal: a late answer to a signal would be about the next change.
                    try mend()
                    try await log.line(containing: "signing keys of contexts are usable again", count: count)
                }
                // A short key, a key that others can read, an unknown name, a directory that others can write to.
                try await refused("bytes") {
                    _ = try relay.write("short", to: "keys/new.HS256")
                    try mode(0o600, "keys/new.HS256")
                } _: {
                    try keys.remove("new")
                }
                try await refused("chmod") {
                    try keys.install("new", mode: 0o644)
                } _: {
                    try keys.remove("new")
                }
                try await refused("KID.EdDSA") {
                    _ = try relay.write("", to: "keys/README")
                } _: {
                    try FileManager.default.removeItem(atPath: relay.path("keys/README"))
                }
                try await refused("chmod go-w") {
                    try mode(0o777, "keys")
                } _: {
                    try mode(0o700, "keys")
                }
                // An operator who removes the last key does not want to lock out all guests.
                try await refused("is empty") {
                    try keys.remove("old")
                } _: {
                    try keys.install("old")
                }
            }
        }
    }

    @Test("SIGHUP reads the key list of the configuration again")
    func reloadedList() async throws {
        try await RelayFixture.with { relay in
            // The list itself is read only after a signal, regardless of the interval for the files.
            let keys = try Keys(relay, interval: 3)
            for kid in ["old", "new"] { try keys.make(kid) }
            try keys.configure(named: ["old"], interval: 3)
            _ = try await self.serve(keys) { conductor, answer in
                let log = conductor.program.standardError
                func hangUp(_ text: String) async throws -> String {
                    try conductor.program.send(.terminalClosed)
                    return try await log.line(containing: text)
                }
                _ = try await hangUp("Read the signing keys of contexts again")
                try keys.configure(named: ["old", "new"], interval: 3)
                #expect(try await answer("new").contains("unknown here"))
                #expect(try await hangUp("Reloaded the signing keys of contexts").contains("added=new"))
                #expect(try await answer("new").contains("published"))
                #expect(try await answer("old").contains("published"))
                _ = try relay.write("no: [yaml", to: "conductor.yaml")
                _ = try await hangUp("Failed to load the signing keys of contexts")
                #expect(try await answer("old").contains("published"))
                try keys.configure(named: ["new"], interval: 3)
                #expect(try await hangUp("removed=old").contains("in_use=new"))
                #expect(try await answer("old").contains("unknown here"))
                #expect(try await answer("new").contains("published"))
            }
        }
    }

    @Test("A key file that the configuration names is read again when it changes")
    func replacedFile() async throws {
        try await RelayFixture.with { relay in
            let keys = try Keys(relay)
            try keys.make("one")
            try keys.configure(named: ["one"])
            _ = try await self.serve(keys) { conductor, answer in
                #expect(try await answer("one").contains("published"))
                try keys.make("one", " again")
                try await conductor.program.standardError.line(containing: "replaced=one")
                #expect(try await answer("one").contains("published"))
            }
        }
    }
}
