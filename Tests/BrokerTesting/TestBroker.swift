// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// A RabbitMQ node that `deploy/private-rabbitmq` runs.
package struct TestBroker: Sendable {
    package let directory: URL
    private let environment: [String: String]

    /// Returns the node that the whole test run shares. Do not stop it; see
    /// ``withPrivateBroker(tls:maxMessageSize:_:)``.
    ///
    /// - Throws: an error with a sentence for a developer who ran the tests without the node.
    package static func shared() throws -> TestBroker {
        guard let directory = ProcessInfo.processInfo.environment["CONDUCTOR_TEST_RABBITMQ"], !directory.isEmpty else {
            throw TestBrokerError(
                "CONDUCTOR_TEST_RABBITMQ is not set: these tests need a RabbitMQ node, which Tests/run starts; or start one "
                    + "with `deploy/private-rabbitmq start DIR --tls` and set the variable to DIR")
        }
        return try TestBroker(directory: URL(fileURLWithPath: directory))
    }

    package init(directory: URL) throws {
        self.directory = directory
        var environment: [String: String] = [:]
        for line in try String(contentsOf: directory.appendingPathComponent("env"), encoding: .utf8).split(
            separator: "\n")
        {
            let halves = line.split(separator: "=", maxSplits: 1)
            guard halves.count == 2 else { continue }
            environment[String(halves[0])] = halves[1].trimmingCharacters(in: CharacterSet(charactersIn: "'"))
        }
        self.environment = environment
    }

    /// `rabbit://user:password@127.0.0.1:port/`
    package var url: String { self["RABBITMQ_URL"] }
    package var port: UInt16 { UInt16(self["RABBITMQ_PORT"]) ?? 0 }
    package var user: String { self["RABBITMQ_USER"] }
    package var password: String { self["RABBITMQ_PASSWORD"] }
    /// The URL with `?ssl=1&ssl_ca_file=…`. Empty for a node without TLS, like the ones below.
    package var tlsURL: String { self["RABBITMQ_TLS_URL"] }
    package var tlsPort: UInt16 { UInt16(self["RABBITMQ_TLS_PORT"]) ?? 0 }
    package var caFile: String { self["RABBITMQ_CA"] }
    package var clientCertificateFile: String { self["RABBITMQ_CLIENT_CERT"] }
    package var clientKeyFile: String { self["RABBITMQ_CLIENT_KEY"] }

    /// Returns a value of the node's `env` file, or an empty string.
    package subscript(_ name: String) -> String { self.environment[name] ?? "" }

    /// Returns the URL of the same broker at another port, such as that of a ``TCPProxy``.
    package func url(port: Int) -> String {
        "rabbit://\(self.user):\(self.password)@127.0.0.1:\(port)/"
    }

    /// Stops the node as an operator does, and waits.
    package func stop() async throws { try await Self.script("stop", self.directory.path) }
    /// Kills the node, like a crash.
    package func kill() async throws { try await Self.script("kill", self.directory.path) }
    /// Starts the node again, on the same ports and with the same data, and waits for it.
    package func restart() async throws { try await Self.script("restart", self.directory.path) }
    /// Runs rabbitmqctl, and returns its output.
    @discardableResult
    package func control(_ arguments: String...) async throws -> String {
        try await Self.script(["ctl", self.directory.path] + arguments)
    }

    /// Runs `deploy/private-rabbitmq` in the source tree from which this file is compiled.
    @discardableResult
    static func script(_ arguments: String...) async throws -> String {
        try await Self.script(arguments)
    }

    @discardableResult
    static func script(_ arguments: [String]) async throws -> String {
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../deploy/private-rabbitmq").standardizedFileURL
        // A file, not a pipe: the node outlives the script, and would keep an inherited pipe open.
        let output = FileManager.default.temporaryDirectory.appendingPathComponent("script-\(UUID().uuidString)")
        try Data().write(to: output)
        defer { try? FileManager.default.removeItem(at: output) }
        let handle = try FileHandle(forWritingTo: output)
        let process = Process()
        process.executableURL = script
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = handle
        process.standardError = handle
        let status = try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<Int32, any Error>) in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do {
                try process.run()
            } catch {
                process.terminationHandler = nil
                continuation.resume(throwing: error)
            }
        }
        try handle.close()
        let text = try String(contentsOf: output, encoding: .utf8)
        guard status == 0 else {
            throw TestBrokerError("deploy/private-rabbitmq \(arguments.joined(separator: " ")) failed: \(text)")
        }
        return text
    }
}

/// An error for a requirement of a test that is missing. The description is a sentence.
package struct TestBrokerError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

/// Runs `body` with a new node, which it may stop, kill and restart; stops and removes the node afterwards.
package func withPrivateBroker<Result>(
    tls: Bool = false, maxMessageSize: Int? = nil, _ body: (TestBroker) async throws -> Result
) async throws -> Result {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
        "broker-\(UUID().uuidString.prefix(8))")
    var arguments = ["start", directory.path]
    if tls { arguments.append("--tls") }
    if let maxMessageSize { arguments += ["--max-message-size", String(maxMessageSize)] }
    try await TestBroker.script(arguments)
    do {
        let result = try await body(TestBroker(directory: directory))
        try await TestBroker.script("kill", directory.path)
        try FileManager.default.removeItem(at: directory)
        return result
    } catch {
        _ = try? await TestBroker.script("kill", directory.path)
        try? FileManager.default.removeItem(at: directory)
        throw error
    }
}

/// Names that no other test uses on a shared node.
package struct UniqueTopic: Sendable {
    package let exchange: String
    package let topic: String

    package init() {
        let suffix = UUID().uuidString.prefix(13).lowercased()
        self.exchange = "exchange-\(suffix)"
        self.topic = "notification-\(suffix)"
    }

    /// `<topic>.info`
    package var info: String { "\(self.topic).info" }
    /// `<topic>.error`
    package var error: String { "\(self.topic).error" }
}
