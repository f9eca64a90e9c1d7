// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

@Suite(
    "deploy/private-rabbitmq", .timeLimit(.minutes(1)),
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/lib/rabbitmq/bin/rabbitmq-server")))
struct PrivateRabbitMQTests {
    @Test("A start whose certificates cannot be made prints why and leaves no file behind")
    func failingOpenSSL() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "node-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        let programs = directory.appending(path: "bin")
        try FileManager.default.createDirectory(at: programs, withIntermediateDirectories: true)
        let openssl = programs.appending(path: "openssl")
        try Data("#!/bin/sh\necho no entropy >&2\nexit 1\n".utf8).write(to: openssl)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: openssl.path)
        let script = URL(filePath: #filePath).appending(path: "../../../deploy/private-rabbitmq").standardizedFileURL
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let node = directory.appending(path: "node").path
        for _ in 1...2 {
            let end = try await Program(script.path).run(
                ["start", node, "--tls"], environment: ["PATH": "\(programs.path):\(path)"])
            #expect(end.status == .exited(1))
            #expect(end.standardError == ["openssl: no entropy", "private-rabbitmq: openssl failed"])
            #expect(try FileManager.default.contentsOfDirectory(atPath: node).isEmpty)
        }
    }
}
