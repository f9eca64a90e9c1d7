// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Subprocess
import Testing

/// The steps of Docs/operations.md for volumes, on directories with the owners and modes that Kubernetes gives them.
@Suite("guest-agent on volumes of containers", .enabled(if: geteuid() == 0), .timeLimit(.minutes(2)))
struct VolumeTests {
    private static let user = VolumeUser.prefix.joined(separator: " ")

    /// Gives the volume's user its certificate and key.
    private func give(_ relay: RelayFixture) throws {
        for directory in [relay.directory.path, relay.path("tls")] { try #require(chmod(directory, 0o755) == 0) }
        for name in ["guest-guest-1.key", "guest-guest-1.pem", "ca.pem"] {
            try #require(chown(relay.path("tls/\(name)"), VolumeUser.user, VolumeUser.user) == 0)
        }
    }

    /// Creates a directory with an owner and a mode.
    private func make(_ path: String, _ mode: mode_t, user: uid_t = 0, group: gid_t = 0) throws {
        try #require(mkdir(path, 0o700) == 0 && chown(path, user, group) == 0 && chmod(path, mode) == 0)
    }

    /// Returns the arguments of an `exec` that waits for no conductor, up to its `--`.
    private func exec(_ relay: RelayFixture, _ directory: String? = nil) throws -> [String] {
        let file = try relay.guestFile(ports: ["1"], drainTimeout: 0)
        return [
            Program.guestAgent.path, "exec", "--config", file, "--set",
            "spool.directory=\(directory ?? relay.spoolDirectory)", "--context", try relay.contextFile(), "--",
        ]
    }

    /// Runs a program as the volume's user.
    private func run(_ arguments: [String], _ before: [String] = []) async throws -> ProgramEnd {
        let command = VolumeUser.prefix + before + arguments
        return try await Program(command[0]).run(Array(command.dropFirst()))
    }

    @Test(
        "A directory from an init container works when mounted by subPath, also after a restart",
        .enabled(if: Namespaces.canMount), arguments: ["0777", "2775", "2777"])
    func subPathDirectory(mode: String) async throws {
        try await RelayFixture.with { relay in
            try self.give(relay)
            let exec = try self.exec(relay)
            let script = #"""
                cd "$1" && mkdir volume spools && chgrp $GROUP volume && chmod $MODE volume || exit 1
                shift
                $AS mkdir -m 700 volume/spool && mount --bind volume/spool spools || exit 1
                trap 'umount --lazy "$PWD/spools"' EXIT
                restart() {
                    chgrp -R $GROUP volume
                    find volume -type d -exec chmod ug+rwx,g+s {} +
                    find volume -type f -exec chmod ug+rw {} +
                }
                $AS "$@" echo first
                restart; $AS "$1" flush --config "$4" --timeout 0; echo flush $?
                stat -c "%n %a" spools spools/exec-1 spools/exec-1/*
                restart; $AS "$@" echo second; echo exec $?
                """#
            let end = try await Program("sh").run(
                ["-c", script, "sh", relay.directory.path] + exec,
                environment: ["AS": Self.user, "GROUP": "\(VolumeUser.group)", "MODE": mode])
            #expect(
                end.standardOutput == [
                    "first", "0 delivered, 1 waiting, 0 set aside.", "flush 75", "spools 2750", "spools/exec-1 2750",
                    "spools/exec-1/agent.lock 600", "spools/exec-1/spool.sqlite 600", "second", "exec 0",
                ], "\(end.standardOutput) \(end.errorText)")
        }
    }

    @Test(
        "A root-owned volume directory is rejected, and the printed chown and chmod make it usable",
        arguments: [0o777, 0o2777, 0o2775])
    func rootOwnedVolume(mode: mode_t) async throws {
        try await RelayFixture.with { relay in
            try self.give(relay)
            let volume = relay.spoolDirectory
            try self.make(volume, mode, group: VolumeUser.group)
            let last = try await self.run(self.exec(relay) + ["echo", "ran"])
            #expect(last.status == .exited(78) && last.standardOutput.isEmpty, "\(last.errorText)")
            #expect(last.errorText.contains("by `subPath`"), "\(last.errorText)")
            #expect(last.errorText.contains("run `chown \(VolumeUser.user) \(volume)` as root"), "\(last.errorText)")

            let below = try self.exec(relay, "\(volume)/own") + ["echo", "ran"]
            let onTheWay = try await self.run(below)
            #expect(onTheWay.status == .exited(78) && onTheWay.standardOutput.isEmpty)
            #expect(onTheWay.errorText.contains("run `chmod +t \(volume)` as root"), "\(onTheWay.errorText)")
            #expect(onTheWay.errorText.contains("by `subPath`"))
            try #require(chmod(volume, mode | 0o1000) == 0)
            #expect(try await self.run(below).standardOutput == ["ran"])

            try #require(chown(volume, VolumeUser.user, VolumeUser.group) == 0 && chmod(volume, mode) == 0)
            // Everything in the directory must be the agent's.
            let shared = try await self.run(self.exec(relay) + ["echo", "ran"])
            #expect(shared.status == .exited(78) && shared.standardOutput.isEmpty)
            #expect(shared.errorText.contains("own in it is not a file that this program creates there"))
            try FileManager.default.removeItem(atPath: "\(volume)/own")
            let own = try await self.run(self.exec(relay) + ["echo", "ran"])
            #expect(own.standardOutput == ["ran"], "\(own.errorText)")
        }
    }

    @Test("A spool and an export can be created in a directory that the user cannot list")
    func unlistableDirectory() async throws {
        try await RelayFixture.with { relay in
            try self.give(relay)
            let closed = relay.path("closed")
            try self.make(closed, 0o300, user: VolumeUser.user)
            let exec = try self.exec(relay, "\(closed)/spools")
            let end = try await self.run(exec + ["echo", "ran"])
            #expect(end.status == .exited(0) && end.standardOutput == ["ran"], "\(end.errorText)")
            let export = try await self.run([
                exec[0], "spool", "export", "--config", exec[3], "--set", exec[5], "--waiting", "\(closed)/outcomes",
            ])
            #expect(export.status == .exited(0), "\(export.errorText)")
            #expect(try String(contentsOfFile: "\(closed)/outcomes", encoding: .utf8).contains("database_create"))
        }
    }

    @Test(
        "In a user namespace without root, directories of root are trusted unless others may write",
        .enabled(if: Namespaces.canMapUsers))
    func userNamespace() async throws {
        try await RelayFixture.with { relay in
            try self.give(relay)
            try self.make(relay.spoolDirectory, 0o700, user: VolumeUser.user, group: VolumeUser.user)
            let exec = try self.exec(relay) + ["echo", "ran"]
            let namespace = ["unshare", "--user", "--map-current-user"]
            let end = try await self.run(exec, namespace)
            #expect(end.status == .exited(0) && end.standardOutput == ["ran"], "\(end.errorText)")
            // The spool's directory itself must have an owner that the namespace knows.
            let foreign = try await self.run(self.exec(relay, relay.path("tls")) + ["echo", "ran"], namespace)
            #expect(foreign.status == .exited(78) && foreign.standardOutput.isEmpty, "\(foreign.errorText)")
            try #require(chmod(relay.directory.path, 0o775) == 0)
            let open = try await self.run(exec, namespace)
            #expect(open.status == .exited(78) && open.standardOutput.isEmpty, "\(open.errorText)")
            // Where root has a number, this owner is just another user.
            try #require(chmod(relay.directory.path, 0o755) == 0 && chown(relay.directory.path, 65_534, 65_534) == 0)
            let other = try await self.run(exec)
            #expect(other.status == .exited(78) && other.errorText.contains("belongs to the user 65534"))
        }
    }
}
