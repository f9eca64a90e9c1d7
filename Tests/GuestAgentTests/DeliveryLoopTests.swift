// SPDX-License-Identifier: Apache-2.0

import GuestSpool
import Logging
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
                logger: Logger(label: "agent") { _ in SwiftLogNoOpLogHandler() })
            outbox.before(.entriesRead) {
                guard outbox.calls(.entriesRead) == 1 else { return }
                // The ends have been read, and there were none.
                await #expect(throws: Never.self) {
                    try await outbox.begin(BegunOperation(messageID: report.messageID, context: report.context))
                    try await outbox.finish(report)
                }
                loop.outcomeArrived(.end)
                loop.stop()
            }
            try await loop.run()
            #expect(try await outbox.counts().delivered == 1)
        }
        #expect(driver.notifications.map(\.messageID) == [report.messageID])
    }
}
