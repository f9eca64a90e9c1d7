import Foundation
import NIOConcurrencyHelpers

@testable import TLSSocket

/// The `openssl` program as a peer that somebody else has written.
///
/// Its output arrives as a stream of chunks; `finish` ends it by its process id, and waits for that.
final class OpenSSLProcess: Sendable {
    private let process: Process
    private let input: FileHandle
    private let output: AsyncStream<String>
    private let collected = NIOLockedValueBox("")
    private let exit: AsyncStream<Int32>

    /// Standard error goes into the same stream as standard output.
    init(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        let (exit, exitContinuation) = AsyncStream<Int32>.makeStream()
        process.terminationHandler = {
            exitContinuation.yield($0.terminationStatus)
            exitContinuation.finish()
        }
        let (chunks, continuation) = AsyncStream<String>.makeStream()
        output.fileHandleForReading.readabilityHandler = { handle in
            let data = handle.availableData
            if data.isEmpty {
                handle.readabilityHandler = nil
                continuation.finish()
            } else {
                continuation.yield(String(decoding: data, as: UTF8.self))
            }
        }
        try process.run()
        self.process = process
        self.input = input.fileHandleForWriting
        self.output = chunks
        self.exit = exit
    }

    func send(_ text: String) throws {
        try self.input.write(contentsOf: Data(text.utf8))
    }

    func closeInput() throws {
        try self.input.close()
    }

    /// All that has been printed, once that contains `text`; or all there is, when the output ends without.
    func outputUntil(_ text: String) async -> String {
        if self.collected.withLockedValue({ $0.contains(text) }) { return self.collected.withLockedValue { $0 } }
        for await chunk in self.output {
            let all = self.collected.withLockedValue {
                $0 += chunk
                return $0
            }
            if all.contains(text) { return all }
        }
        return self.collected.withLockedValue { $0 }
    }

    /// Ends the process if it has not ended by itself, and tells everything that it has printed.
    @discardableResult
    func finish() async -> String {
        try? self.input.close()
        if self.process.isRunning { self.process.terminate() }
        for await _ in self.exit {}
        return await self.outputUntil("\u{0}")
    }
}

/// Certificates as files for the `openssl` program, in a directory of their own.
final class IdentityFiles {
    let directory: URL

    init(_ identities: TestIdentities) throws {
        self.directory = FileManager.default.temporaryDirectory.appendingPathComponent("tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
        try self.write("ca.pem", identities.authority.certificatePEM)
        try self.write("server", identities.server)
        try self.write("client", identities.client)
    }

    deinit {
        try? FileManager.default.removeItem(at: self.directory)
    }

    func path(_ name: String) -> String {
        self.directory.appendingPathComponent(name).path
    }

    func write(_ name: String, _ identity: IssuedCertificate) throws {
        try self.write("\(name).pem", identity.certificatePEM)
        try self.write("\(name).key", identity.privateKeyPEM)
    }

    private func write(_ name: String, _ text: String) throws {
        try Data(text.utf8).write(to: self.directory.appendingPathComponent(name))
    }
}
