// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import LogTesting
import Logging
import NIOConcurrencyHelpers
import Notifications
import Notifier
import RandomTesting
import RelayTesting
import Testing

/// The counters agree with one another and with the guests' answers, at any moment.
@Suite(.timeLimit(.minutes(5))) struct LedgerTests {
    /// A driver that answers in random order, not always with success, on the thread of the next notification.
    private final class UnreliableDriver: NotificationDriver {
        private struct State {
            var generator: Seeded
            var held: [@Sendable (Result<Void, DriverError>) -> Void] = []
            /// The number that may be held; zero after the load.
            var limit = 20
        }

        let name = "moody"
        private let state: NIOLockedValueBox<State>

        init(seed: UInt64) { self.state = NIOLockedValueBox(State(generator: Seeded(seed))) }

        func emit(
            _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
        ) {
            self.answer { state in
                state.held.append(completion)
                state.held.shuffle(using: &state.generator)
            }
        }

        /// Holds nothing from now on.
        func calmDown() { self.answer { $0.limit = 0 } }

        private func answer(_ change: (inout State) -> Void) {
            let ended = self.state.withLockedValue { state in
                change(&state)
                return (0..<max(0, state.held.count - state.limit)).map { _ in
                    (state.held.removeLast(), Int.random(in: 0..<5, using: &state.generator))
                }
            }
            for (completion, mood) in ended {
                switch mood {
                case 0: completion(.failure(DriverError(.unavailable, driver: self.name, reason: "away")))
                case 1: completion(.failure(DriverError(.tooLarge, driver: self.name, reason: "large", limitBytes: 9)))
                default: completion(.success(()))
                }
            }
        }
    }

    /// Returns a random line of those that guests send.
    private static func line(_ id: Int, _ ids: [MessageID], _ generator: inout Seeded) -> String {
        let messageID = ids[Int.random(in: ids.indices, using: &generator)]
        switch Int.random(in: 0..<12, using: &generator) {
        case 0: return #"{"jsonrpc":"2.0","id":\#(id),"method":"ping"}"#
        case 1: return #"{"jsonrpc":"2.0","id":\#(id),"method":"pong"}"#
        case 2: return #"{"jsonrpc":"2.0","id":\#(id),"method":"notify_end","params":{}}"#
        case 3: return #"{"jsonrpc":"1.0","id":\#(id)}"#
        case 4: return "no json"
        case 5: return String(repeating: "x", count: 2000)
        case 6: return SampleReport.line(id: id).replacing("database_create", with: "database_paint")
        case 7: return SampleReport.line(id: id, messageID: messageID).replacing("shop", with: "stock")
        // Its event is switched off.
        case 8: return SampleReport.line(id: id).replacing("database_create", with: "database_delete")
        case 9: return SampleReport.line(id: id)
        default: return SampleReport.line(id: id, messageID: messageID)
        }
    }

    @Test(
        "The counters balance under load, with failures and closed connections",
        arguments: [1, 2, 3] as [UInt64], [0, 3])
    func balanceUnderLoad(seed: UInt64, leavers: Int) async throws {
        let (driver, guests, requests) = (UnreliableDriver(seed: seed), 6, 200)
        let quiet = try Catalogues([.dbaas], switchedOff: ["dbaas.database_delete.end"])
        let isOver = NIOLockedValueBox(false)
        let sent = NIOLockedValueBox(0)
        let ids = (0..<30).map { _ in MessageID() }
        let conductor = try await withConductor(
            Notifier(drivers: [driver]), catalogues: quiet, rememberedIDs: 8
        ) {
            $0.connection.maximumLineLength = 1000
        } _: { conductor in
            let snapshots = Task {
                var count = 0
                while !isOver.withLockedValue({ $0 }) {
                    let counters = conductor.counters
                    #expect(counters.isBalanced, "\(counters)")
                    count += 1
                    await Task.yield()
                }
                return count
            }
            let heard = try await withThrowingTaskGroup(of: [String].self) { group in
                for number in 0..<guests {
                    group.addTask {
                        var generator = Seeded(seed &* 1000 &+ UInt64(number))
                        return try await RawGuest.with(conductor) { guest in
                            for id in 1...requests { try await guest.send(line: Self.line(id, ids, &generator)) }
                            // A request that is cut off by the end of the connection does not count.
                            try await guest.send(Array(#"{"jsonrpc":"2.0","id":0,"method":"notify_e"#.utf8))
                            let isLast = sent.withLockedValue { sent in
                                sent += 1
                                return sent == guests
                            }
                            // No further request would release the held notifications.
                            if isLast { driver.calmDown() }
                            guard number >= leavers else { return [] }
                            var answers: [String] = []
                            while answers.count < requests, let line = try await guest.line() { answers.append(line) }
                            return answers
                        }
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            isOver.withLockedValue { $0 = true }
            #expect(await snapshots.value > 0)
            #expect(heard.count == (guests - leavers) * requests)
            if leavers == 0 { self.expect(conductor.counters, toAgreeWith: heard) }
            return conductor
        }
        // The conductor has drained: the accepted requests of closed connections are answered too, with their results.
        let counters = conductor.counters
        #expect(counters.isBalanced && counters.inFlight == 0, "\(counters)")
        #expect(counters.published > 0 && counters.duplicate > 0 && counters.disabled > 0 && counters.pings > 0)
    }

    private func expect(_ counters: RelayCounters, toAgreeWith answers: [String]) {
        func count(_ text: String) -> Int { answers.count { $0.contains(text) } }
        #expect(counters.received + counters.pings == answers.count)
        #expect(counters.pings == count(#""version""#))
        #expect(counters.published == count(#""disposition":"published""#))
        #expect(counters.duplicate == count(#""disposition":"duplicate""#))
        #expect(counters.disabled == count(#""disposition":"disabled""#))
        let reasons = [
            "parse_error", "invalid_request", "unknown_method", "invalid_params", "unknown_event", "too_large",
            "broker_unavailable",
        ]
        #expect(Set(counters.rejected.keys) == Set(reasons))
        for reason in reasons { #expect(counters.rejected[reason] == count(#""reason":"\#(reason)""#), "\(reason)") }
    }

    @Test("The counters are logged in one line at any log level")
    func logLine() throws {
        let relay = Relay(
            notifier: Notifier(drivers: [TestDriver()]), catalogues: .builtIn, publisherID: "conductor.test",
            logger: LogRecorder().logger)
        let peer = RPCPeer(certificate: nil, remoteAddress: "", localAddress: "")
        relay.recordRejection(.tooLarge, from: peer)
        relay.handle(.notify(SampleReport.end()), from: peer) { _ in }
        relay.handle(.ping, from: peer) { _ in }
        let log = LogRecorder()
        var logger = log.logger
        logger.logLevel = .critical
        relay.counters.log("Counters", to: logger)
        #expect(log.entries.count == 1)
        #expect(
            log.entries.first?.metadata == [
                "received": "2", "published": "0", "duplicate": "0", "disabled": "0", "rejected_total": "2",
                "rejected_too_large": "1", "rejected_unauthenticated": "1", "in_flight": "0", "pings": "1",
                "balanced": "true", "undeclared_fields_left_out": "0", "forgotten_operations": "0",
            ])
    }
}
