// SPDX-License-Identifier: Apache-2.0

import ConductorService
import ContextSigning
import Dispatch
import Foundation
import LogTesting
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import ProcessTesting
import RelayTesting
import TLSChannel
import Testing

/// Signing keys whose files cannot be used for a time, or are on a disk that hangs.
@Suite("The reloader of signing keys", .timeLimit(.minutes(1)))
struct SigningKeyReloaderTests {
    /// A reloader of keys that a test sets, and a disk that hangs until it is released.
    private struct Fixture {
        /// The keys that the files hold; nil when they cannot be used.
        let keys: NIOLockedValueBox<SigningKeySet?>
        let live: LiveSigningKeys
        let log = LogRecorder()
        let gate = DispatchSemaphore(value: 0)
        let reloader: SigningKeyReloader
        static let unresponsive = "Failed to check the signing keys of contexts in time"
        static let responsive = "The file system of the signing keys of contexts responds again"

        init(hangs: Bool) throws {
            let first = try Self.set(["first"])
            self.keys = NIOLockedValueBox(first)
            self.live = LiveSigningKeys(first)
            let files = SigningKeyFiles(named: [], directory: nil)
            self.reloader = SigningKeyReloader(
                live: self.live, files: files, interval: .milliseconds(20), gracePeriod: .zero,
                hangThreshold: hangs ? .milliseconds(100) : .seconds(60), logger: self.log.logger, list: { files },
                read: { [keys, gate] _ in
                    if hangs { gate.wait() }
                    guard let keys = keys.withLockedValue({ $0 }) else { throw CocoaError(.fileReadCorruptFile) }
                    return keys
                })
        }

        /// Lets the disk respond; it has enough places for every later reading.
        func release() { for _ in 0..<10_000 { self.gate.signal() } }

        static func set(_ kids: [String]) throws -> SigningKeySet {
            try SigningKeySet(
                kids.map { try SigningKey(kid: $0, secret: Array(repeating: UInt8($0.utf8.count), count: 32)) })
        }
    }

    @Test("Files that are usable again are logged")
    func recovery() async throws {
        let fixture = try Fixture(hangs: false)
        fixture.keys.withLockedValue { $0 = nil }
        await fixture.reloader.reload()
        await fixture.log.next("Failed to load the signing keys of contexts")
        fixture.keys.withLockedValue { $0 = fixture.live.current }
        await fixture.reloader.reload()
        await fixture.log.next("The signing keys of contexts are usable again, and unchanged")
    }

    @Test("A disk that hangs is logged and shown as stuck, and its recovery is logged")
    func hangingDisk() async throws {
        let fixture = try Fixture(hangs: true)
        let run = Task { await fixture.reloader.run() }
        let error = await fixture.log.next(Fixture.unresponsive)
        #expect(error.level == .error)
        #expect(fixture.reloader.isStuck)
        // A requested reload logs the error again, and a reloader that is cancelled does not wait.
        await fixture.reloader.reload()
        await fixture.log.next(Fixture.unresponsive)
        run.cancel()
        await run.value

        let again = Task { await fixture.reloader.run() }
        await fixture.log.next(Fixture.unresponsive)
        fixture.keys.withLockedValue { $0 = try? Fixture.set(["first", "second"]) }
        fixture.release()
        #expect(await fixture.log.first("Reloaded the signing keys of contexts").metadata["added"] == "second")
        await fixture.log.first(Fixture.responsive)
        #expect(fixture.log.entries.first { $0.message == Fixture.responsive }?.level == .notice)
        // The next check may be slow on a busy machine, but ends.
        while fixture.reloader.isStuck { await Task.yield() }
        again.cancel()
        await again.value
    }

    @Test("While the disk of the signing keys hangs, the watchdog is not notified")
    func hangingDiskAndWatchdog() async throws {
        let listener = try NotifySocketListener("@conductor-test-\(UUID().uuidString.prefix(8))")
        defer { listener.stop() }
        let certificates = try TestCertificates()
        let log = LogRecorder()
        let fixture = try Fixture(hangs: true)
        let files = ReloadedFiles(
            certificates: CertificateReloader(
                live: LiveTLSContext(try certificates.server()), interval: .milliseconds(20), logger: log.logger),
            signingKeys: fixture.reloader)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let service = SystemdService(
            environment: ["NOTIFY_SOCKET": listener.name, "WATCHDOG_USEC": "20000"], processID: 1, group: group,
            isHealthy: { files.isResponsive }, logger: log.logger)
        // Nothing is checked yet.
        #expect(files.isResponsive)
        let check = Task { await files.run() }
        await fixture.log.next(Fixture.unresponsive)
        #expect(!files.isResponsive)
        let socket = try #require(NotifySocket(listener.name))
        #expect(socket.send("BEGIN") == 0)
        let run = Task { try await service.run() }
        // Time for ten notifications and more.
        try await group.next().scheduleTask(in: .milliseconds(200)) {}.futureResult.get()
        #expect(socket.send("END") == 0)
        fixture.release()
        var messages = listener.messages.makeAsyncIterator()
        #expect(await messages.next() == "BEGIN")
        #expect(await messages.next() == "END")
        #expect(await messages.next() == "WATCHDOG=1")
        check.cancel()
        await check.value
        run.cancel()
        _ = await run.result
        try await group.shutdownGracefully()
    }
}
