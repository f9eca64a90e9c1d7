// SPDX-License-Identifier: Apache-2.0

import GuestSpool
import LogTesting
import Logging
import NIOConcurrencyHelpers
import Notifications
import Notifier
import RelayTesting
import TLSChannel
import Testing

@testable import GuestAgent

@Suite(.timeLimit(.minutes(1))) struct DeliveryLoopTests {
    @Test("An outcome that is finished during the last reading of the outbox is delivered")
    func finishDuringLastReading() async throws {
        let driver = TestDriver()
        let report = SampleReport.end()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            let outbox = FaultyOutbox(over: MemoryOutbox())
            let configuration = GuestAgent.Configuration.test(
                ports: [conductor.port], certificates: conductor.certificates)
            let loop = DeliveryLoop(
                configuration: configuration, tls: LiveTLSContext(try TLSContext(configuration: .init(configuration))),
                outbox: outbox,
                logger: .quiet)
            outbox.before(.entriesRead) {
                guard outbox.calls(.entriesRead) == 1 else { return }
                // The ends have been read, and there were none.
                await #expect(throws: Never.self) {
                    try await outbox.begin(BegunOperation(messageID: report.messageID, context: report.context))
                    try await outbox.finish(report)
                }
                loop.signalArrival(.end)
                loop.stop()
            }
            try await loop.run()
            #expect(try await outbox.counts().delivered == 1)
        }
        #expect(driver.notifications.map(\.messageID) == [report.messageID])
    }

    /// Returns a configuration whose only conductor refuses connections, and whose pauses outlast the test.
    private func configurationWithoutConductor(_ certificates: TestCertificates) -> GuestAgent.Configuration {
        // No process listens on port 1.
        var configuration = GuestAgent.Configuration.test(ports: [1], certificates: certificates)
        configuration.minimumBackoff = .seconds(3600)
        configuration.maximumBackoff = .seconds(3600)
        return configuration
    }

    @Test("A stop ends the loop at once when nothing waits, also if a connection fails before the outbox has been read")
    func stopWithoutConductor() async throws {
        let certificates = try TestCertificates()
        let configuration = self.configurationWithoutConductor(certificates)
        let log = LogRecorder()
        let outbox = FaultyOutbox(over: MemoryOutbox())
        let loop = DeliveryLoop(
            configuration: configuration, tls: LiveTLSContext(try TLSContext(configuration: .init(configuration))),
            outbox: outbox, logger: log.logger)
        // As a slow disk: connections to a closed port fail in less time.
        outbox.before(.entriesRead) { try? await Task.sleep(for: .milliseconds(100)) }
        async let ended: Void = loop.run()
        await log.first("Failed to connect to a conductor; trying the next one")
        loop.stop()
        try await ended
    }

    @Test("A stop between a failed connection and the pause that follows it ends that pause")
    func stopBeforePause() async throws {
        let certificates = try TestCertificates()
        let configuration = self.configurationWithoutConductor(certificates)
        let stop = NIOLockedValueBox<(@Sendable () -> Void)?>(nil)
        let loop = DeliveryLoop(
            configuration: configuration, tls: LiveTLSContext(try TLSContext(configuration: .init(configuration))),
            outbox: MemoryOutbox(),
            logger: Logger(label: "agent") { _ in CallingLogHandler { stop.withLockedValue { $0 }?() } })
        stop.withLockedValue { $0 = { loop.stop() } }
        try await loop.run()
    }
}

/// Calls a closure for every message at level warning.
private struct CallingLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.warning
    let call: @Sendable () -> Void

    init(_ call: @escaping @Sendable () -> Void) { self.call = call }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) { self.call() }
}
