// SPDX-License-Identifier: Apache-2.0

import FaultPoints
import FaultWorkload
import NIOConcurrencyHelpers

/// A guest of the bench, which is restarted many times: its spool stays.
final class BenchGuest: Sendable {
    private struct State {
        var next = 1
        var isUnmade = false
        var ledger: String?
        var oracle: [(PlannedOperation, Oracle.OperationState)] = []
    }

    /// The settings with which a guest is started.
    struct Place: Sendable {
        var program: String
        var name: String
        var spool: String
        var certificates: String
        var conductors: [Int]
        var log: String
        var rate: Double
        var environment: [String: String]
        /// Whether its disk may lose operations that began a few milliseconds ago.
        var losesPower: Bool
        /// Whether its spool does not exist yet, so that its first process can end while it creates the spool.
        var isNew: Bool
    }

    /// Its process.
    let process: SupervisedProcess
    /// Its name.
    let name: String
    private let state: NIOLockedValueBox<State>
    private static let points: [FaultPoint] = [
        .spoolBeforeCommit, .spoolAfterCommit, .spoolDuringDelete, .agentAfterSend, .agentBeforeRecord,
    ]

    /// - Parameters:
    ///   - place: the settings with which it is started.
    ///   - number: the number of its first operation in this round.
    ///   - usesFaultPoints: whether some of its processes end at a named point.
    init(_ place: Place, first number: Int, usesFaultPoints: Bool) {
        let state = NIOLockedValueBox(State(next: number, isUnmade: place.isNew))
        self.state = state
        self.name = place.name
        self.process = SupervisedProcess(name: place.name) { onReady in
            var environment = place.environment
            let isUnmade = state.withLockedValue { state in
                defer { state.isUnmade = false }
                return state.isUnmade
            }
            if usesFaultPoints, isUnmade {
                environment["RELAY_FAULT_POINT"] = FaultPoint.spoolDuringMigration.rawValue
            } else if usesFaultPoints, Bool.random(), let point = Self.points.randomElement() {
                environment["RELAY_FAULT_POINT"] = "\(point.rawValue)@\(Int.random(in: 1...300))"
            }
            var arguments = [
                "--name", place.name, "--spool", place.spool, "--certificates", place.certificates, "--first",
                "\(state.withLockedValue { $0.next })", "--rate", "\(place.rate)",
            ]
            for port in place.conductors { arguments += ["--conductor", "127.0.0.1:\(port)"] }
            return try BenchProcess(
                place.program, arguments, environment: environment, log: place.log, listened: .standardOutput
            ) { line in
                if line == "ready" { onReady() } else { Self.heard(line, place, state) }
            }
        }
    }

    private static func heard(_ line: String, _ place: Place, _ state: NIOLockedValueBox<State>) {
        let words = line.split(separator: " ", maxSplits: 1)
        guard words.count == 2 else { return }
        if words[0] == "ledger" {
            state.withLockedValue { $0.ledger = String(words[1]) }
            return
        }
        guard let number = Int(words[1]) else { return }
        let operationState: Oracle.OperationState
        switch words[0] {
        case "begun": operationState = .open
        case "running": operationState = place.losesPower ? .open : .running
        case "kept": operationState = .kept
        case "refused": operationState = .refused
        case "not-begun": operationState = .notBegun
        case "not-kept": operationState = .notKept
        default: return
        }
        state.withLockedValue { state in
            state.next = max(state.next, number + 1)
            state.oracle.append((PlannedOperation(guest: place.name, number: number), operationState))
        }
    }

    /// The number that its next operation will have.
    var next: Int { self.state.withLockedValue { $0.next } }

    /// The counts of its outbox that it printed when it ended in order.
    var ledger: String? { self.state.withLockedValue { $0.ledger } }

    /// Returns what it reported since the last call.
    func takeSaid() -> [(PlannedOperation, Oracle.OperationState)] {
        self.state.withLockedValue { state in
            defer { state.oracle = [] }
            return state.oracle
        }
    }
}
