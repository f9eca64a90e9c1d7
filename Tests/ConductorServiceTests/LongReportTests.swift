// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Notifications
import Notifier
import RelayTesting
import TLSChannel
import Testing

/// Reports of long lines: slow work is done on a background thread, and work on state that event loops share is done on
/// event loops.
@Suite(.timeLimit(.minutes(1))) struct LongReportTests {
    /// A driver that records the threads on which it is used, and confirms everything.
    private final class ThreadRecorder: BatchingDriver {
        struct Use: Hashable {
            var method: String
            var isOnEventLoop: Bool
        }

        let name = "watch"
        private let state = NIOLockedValueBox<Set<Use>>([])
        private let base = TestDriver()

        var uses: Set<Use> { self.state.withLockedValue { $0 } }
        var notifications: [NotificationMessage] { self.base.notifications }

        private func note(_ method: String) {
            let use = Use(method: method, isOnEventLoop: MultiThreadedEventLoopGroup.currentEventLoop != nil)
            self.state.withLockedValue { _ = $0.insert(use) }
        }

        func emit(
            _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
        ) {
            self.note("emit")
            self.base.emit(notification, completion: completion)
        }

        func prepare(_ notification: NotificationMessage) -> PreparedNotification {
            self.note("prepare")
            return PreparedNotification {
                self.note("enqueue")
                self.base.emit(notification, completion: $0)
            }
        }

        func flush() { self.note("flush") }
    }

    private static let certificate = PeerCertificate(
        commonName: "inst-1", uris: ["spiffe://conductor.test/instance/inst-1"], dnsNames: [], serialNumber: "01",
        notBefore: 0, notAfter: .max, sha256: "")
    private static let peer = RPCPeer(
        certificate: Self.certificate, remoteAddress: "192.0.2.9:5", localAddress: "192.0.2.1:8790")

    private func relay(_ drivers: any NotificationDriver...) -> Relay {
        Relay(
            notifier: Notifier(drivers: drivers), catalogues: .builtIn, publisherID: "c.c", logger: Logger(label: "t"))
    }

    @Test("A long report is prepared on a background thread and enqueued on the event loop")
    func driverThreads() async throws {
        let driver = ThreadRecorder()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            try await RawGuest.with(conductor) { guest in
                let padding = String(repeating: " ", count: 20_000)
                let answer = try await guest.call(padding + SampleReport.line(id: 1))
                #expect(answer.contains("published"))
            }
        }
        #expect(
            driver.uses == [
                .init(method: "prepare", isOnEventLoop: false), .init(method: "enqueue", isOnEventLoop: true),
                .init(method: "flush", isOnEventLoop: true),
            ])
        #expect(driver.notifications.count == 1)
    }

    @Test("Preparing a report changes no counters and publishes nothing")
    func preparation() throws {
        let driver = ThreadRecorder()
        let relay = self.relay(driver)
        var unknown = SampleReport.end()
        unknown.context.operation = "unheard_of"
        for call in [RPCCall.notify(SampleReport.end()), .notify(unknown), .ping] {
            _ = relay.prepare(call, from: Self.peer)
        }
        #expect(relay.counters == self.relay(driver).counters)
        #expect(driver.uses.map(\.method) == ["prepare"])
        #expect(driver.notifications.isEmpty)
    }

    /// Each has the same result as in a short line: new, repeated, in conflict with another, or rejected.
    @Test("A prepared report is answered and published as a short one is")
    func preparedReport() throws {
        let (short, long, second) = (TestDriver(), TestDriver(), TestDriver())
        let relays = (short: self.relay(short), long: self.relay(long, second))
        let report = SampleReport.end()
        var (other, unknown) = (report, SampleReport.end())
        other.context.payload["dbname"] = "another"
        unknown.context.operation = "unheard_of"
        var undeclared = SampleReport.end()
        undeclared.context.payload["surplus"] = 1
        let calls = [
            RPCCall.notify(report), .notify(report), .notify(other), .notify(unknown), .notify(undeclared), .ping,
        ]
        for call in calls {
            let answers = NIOLockedValueBox<[RPCResult]>([])
            relays.short.handle(call, from: Self.peer) { answer in answers.withLockedValue { $0.append(answer) } }
            relays.long.prepare(call, from: Self.peer).carryOut { answer in
                answers.withLockedValue { $0.append(answer) }
            }
            let given = answers.withLockedValue { $0 }
            #expect(given.count == 2 && given.first == given.last, "\(given)")
        }
        #expect(relays.short.counters == relays.long.counters)
        #expect(short.notifications.count == 2)
        for driver in [long, second] {
            #expect(driver.notifications.map(\.payload) == short.notifications.map(\.payload))
        }
    }
}
