// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessTesting
import Subprocess
import Testing

/// The conductor's notifications to systemd, and systemd's checks of the units.
@Suite("systemd", .timeLimit(.minutes(2)))
struct SystemdTests {
    @Test(
        "serve notifies systemd when it listens, reloads and stops, and sends watchdog messages",
        arguments: ["path", "abstract"])
    func systemdNotifications(_ kind: String) async throws {
        try await RelayFixture.with { relay in
            // A path must fit a socket's address.
            let id = UUID().uuidString.prefix(8)
            let path = "/tmp/notify-\(id)"
            defer { unlink(path) }
            let listener = try NotifySocketListener(kind == "path" ? path : "@conductor-test-\(id)")
            defer { listener.stop() }
            var messages = listener.messages.makeAsyncIterator()
            func next(_ beginning: String) async throws -> String {
                while let message = await messages.next() {
                    if message.hasPrefix(beginning) { return message }
                }
                throw CancellationError()
            }
            let end = try await Program.conductor.run(
                ["serve", "--config", try relay.conductorFile()],
                environment: ["NOTIFY_SOCKET": listener.name, "WATCHDOG_USEC": "200000"]
            ) { program in
                _ = try await relay.listening(program)
                _ = try await next("READY=1")
                // The watchdog message is sent repeatedly.
                for _ in 1...3 { _ = try await next("WATCHDOG=1") }
                try program.send(.terminalClosed)
                let reloading = try await next("RELOADING=1")
                #expect(reloading.contains("\nMONOTONIC_USEC="))
                _ = try await next("READY=1")
                try program.send(.terminate)
                _ = try await next("STOPPING=1")
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
        }
    }

    @Test("serve sends no watchdog messages if the watchdog belongs to another process")
    func foreignWatchdog() async throws {
        try await RelayFixture.with { relay in
            let listener = try NotifySocketListener("@conductor-test-\(UUID().uuidString.prefix(8))")
            let end = try await Program.conductor.run(
                ["serve", "--config", try relay.conductorFile()],
                environment: ["NOTIFY_SOCKET": listener.name, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"]
            ) { program in
                _ = try await relay.listening(program)
                try program.send(.terminate)
            }
            listener.stop()
            var messages: [String] = []
            for await message in listener.messages { messages.append(message) }
            #expect(end.status == .exited(0))
            #expect(messages.map { $0.prefix { $0 != "\n" } } == ["READY=1", "STOPPING=1"])
        }
    }

    @Test(
        "A notification socket that cannot be used does not prevent serve from running",
        arguments: ["/nonexistent/notify", "@nobody", "vsock:2:1"])
    func unusableSocket(_ name: String) async throws {
        try await RelayFixture.with { relay in
            let end = try await Program.conductor.run(
                ["serve", "--config", try relay.conductorFile()], environment: ["NOTIFY_SOCKET": name]
            ) { program in
                _ = try await relay.listening(program)
                try program.send(.terminate)
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
            #expect(
                end.errorText.contains("Failed to notify systemd") || end.errorText.contains("Cannot notify systemd"))
        }
    }

    // MARK: Units

    private static let directory = URL(fileURLWithPath: #filePath).appending(path: "../../../deploy/systemd")
        .standardizedFileURL
    private static let services = ["conductor.service", "guest-agent-flush.service"]

    @Test("systemd-analyze verify finds no problem in the units")
    func verifiedUnits() async throws {
        let copies = FileManager.default.temporaryDirectory.appending(path: "units-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: copies, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: copies) }
        // systemd-analyze requires the programs, which are not installed here.
        let built = URL(filePath: Program.conductor.path).deletingLastPathComponent().path
        var paths: [String] = []
        for name in Self.services + ["guest-agent-flush.timer"] {
            let text = try String(contentsOf: Self.directory.appending(path: name), encoding: .utf8)
            let copy = copies.appending(path: name)
            try Data(text.replacing("/usr/local/bin", with: built).utf8).write(to: copy)
            paths.append(copy.path)
        }
        let end = try await Program("systemd-analyze").run(["verify", "--man=no"] + paths)
        #expect(end.status == .exited(0) && end.standardError.isEmpty, "\(end.errorText)")
        // It finds a problem in a unit that has one.
        _ = try #require(paths.first)
        try Data("[Service]\nExecStart=/nonexistent/program\nNoSuchSetting=1\n".utf8)
            .write(to: URL(filePath: paths[0]))
        let bad = try await Program("systemd-analyze").run(["verify", "--man=no", paths[0]])
        #expect(bad.status != .exited(0) && bad.errorText.contains("NoSuchSetting"), "\(bad.errorText)")
    }

    @Test("The unit restarts after temporary failures, and not after errors that an operator must fix")
    func restarts() async throws {
        let unit = try String(contentsOf: Self.directory.appending(path: "conductor.service"), encoding: .utf8)
        let lines = unit.split(separator: "\n")
        let prevented = try #require(lines.first { $0.hasPrefix("RestartPreventExitStatus=") })
        let codes = prevented.split(separator: "=")[1].split(separator: " ").compactMap { Int32($0) }
        #expect(lines.contains("Restart=always") && lines.contains("StartLimitIntervalSec=0"))
        try await RelayFixture.with { relay in
            let file = try relay.conductorFile()
            let missing = relay.path("missing.pem")
            let passing = [
                "tls.key=\(missing)", "tls.certificate=\(missing)", "tls.guest_ca=\(missing)",
                "tls.guest_crl=\(missing)",
                // A key that does not match, as in the middle of a renewal.
                "tls.key=\(relay.path("tls/ca.key"))",
            ]
            let lasting = ["listen.port=x", "tls.reload_interval=0", "log.level=loud"]
            for setting in passing + lasting {
                let end = try await Program.conductor.run(["serve", "--config", file, "--set", setting])
                guard case .exited(let code) = end.status else {
                    Issue.record("\(end.status)")
                    continue
                }
                #expect(code != 0 && codes.contains(code) == lasting.contains(setting), "\(setting): \(code)")
            }
        }
    }

    @Test("systemd-analyze security rates the units' exposure at 1.5 of 10 or less", arguments: services)
    func exposureRating(_ name: String) async throws {
        // The threshold is in tenths: 1.5 of 10, where 10 is a service without any protection.
        let end = try await Program("systemd-analyze").run([
            "security", "--offline=yes", "--threshold=15", "--no-pager", Self.directory.appending(path: name).path,
        ])
        #expect(end.status == .exited(0), "\(end.standardOutput.joined(separator: "\n"))")
    }
}
