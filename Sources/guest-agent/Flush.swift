// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandExecution
import Foundation
import GuestAgent
import GuestSpool
import Logging
import NIOConcurrencyHelpers
import SecureFiles
import ServiceLifecycle
import Settings
import StandardIO
import UnixSignals

/// `guest-agent flush`: delivers the outcomes that earlier runs left behind.
struct Flush: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Deliver all outcomes that wait in this guest, also those of interrupted commands.",
        discussion: """
            A few spools are delivered at once, and share the time. Each begins at the conductor that accepted outcomes last, or else at the \
            next in turn. A spool that a running agent uses is left to that agent, and named. The exit status is 0 when nothing waits any more \
            in the others, 75 when something still waits after the timeout, 71 when nothing was tried because the system has \
            no thread or descriptor left. A signal ends the wait.
            """)

    @OptionGroup var options: SpoolOptions

    @Option(
        name: .long,
        help: ArgumentHelp("Try for at most this long; by default delivery.drain_timeout.", valueName: "seconds"))
    var timeout: Double?

    func validate() throws {
        if let timeout, !(0...86_400).contains(timeout) {
            throw ValidationError("--timeout must be a number of seconds from 0 to 86400.")
        }
    }

    func run() async throws {
        _ = signal(SIGPIPE, SIG_IGN)
        try await GuestAgentExit.mapErrors {
            let settings = try await self.options.settings.load(required: true)
            let logger = try Logger(settings)
            let timeout = try self.timeout.map { Duration.seconds($0) } ?? settings.duration("delivery.drain_timeout")
            // Reports unusable settings before a spool is touched.
            _ = try GuestAgent(settings, outbox: MemoryOutbox(), logger: logger)
            let flush = try SpoolFlush(settings: settings, timeout: timeout, logger: logger)
            let ending: [UnixSignal] = [.sigterm, .sigint, .sighup, .sigquit]
            let signals = await UnixSignalsSequence(
                trapping: ending.filter { !InheritedProcessState.ignores($0.rawValue) })
            let paths = try await self.paths(settings)
            let work = Task { await flush.flush(paths) }
            let interruption = Task { for await _ in signals { work.cancel() } }
            defer { interruption.cancel() }
            let result = await work.value
            for sentence in result.sentences { GuestAgentExit.printMessage(sentence) }
            try StandardStreams.print(result.summary)
            if !result.isDone { throw GuestAgentExit.temporary }
        }
    }

    /// Returns the directories of the spools to deliver. On a guest where no command ever ran there are none, which is
    /// no error: a timer may run this program from the start.
    ///
    /// - Throws: ``OutboxError`` with ``OutboxError/Code/noSpool`` when the directory that the user named holds no
    ///   spool.
    private func paths(_ settings: Settings) async throws -> [String] {
        if let spool = self.options.spool {
            do {
                _ = try await SpoolInspection(spool).overview()
            } catch let error as OutboxError where error.code != .noSpool {
                // The agent may repair the spool when it opens it.
            }
        } else if try FileStatus.of(try settings.string("spool.directory")) == nil {
            return []
        }
        return try self.options.places(settings, forChanging: true).paths
    }
}

/// A delivery of what waits in spools. A few spools are delivered at once, and each gets a share of the time: a spool
/// whose outcomes no conductor accepts must not delay another.
struct SpoolFlush {
    /// The result for one spool, or for all.
    struct Result {
        var delivered = 0
        var setAside = 0
        var waiting = 0
        /// The number of spools that could not be used: what waits in them is unknown.
        var unopened = 0
        /// Whether nothing waits, and every spool was opened that no other agent uses.
        var isDone = true
        /// Further sentences to print.
        var sentences: [String] = []

        /// The result in one line.
        var summary: String {
            let unknown =
                self.unopened == 0 ? "" : "; \(SpoolOutputFormat.count(self.unopened, "spool")) could not be used"
            return "\(self.delivered) delivered, \(self.waiting) waiting, \(self.setAside) set aside\(unknown).\n"
        }
    }

    let settings: Settings
    let timeout: Duration
    let logger: Logger
    private let conductors: [ConductorAddress]
    private let connectTimeout: Duration
    private let notice = DeliveryWaitMessage()

    /// - Parameters:
    ///   - settings: the agent's settings.
    ///   - timeout: the longest time to try.
    ///   - logger: the agent's logger.
    /// - Throws: an error that names the setting that cannot be used.
    init(settings: Settings, timeout: Duration, logger: Logger) throws {
        let configuration = try GuestAgent.Configuration(settings)
        self.conductors = configuration.conductors
        self.connectTimeout = configuration.connectTimeout
        self.settings = settings
        self.timeout = timeout
        self.logger = logger
    }

    /// Delivers what waits in the spools.
    ///
    /// - Parameter paths: the spools' directories.
    func flush(_ paths: [String]) async -> Result {
        let end = ContinuousClock.now + self.timeout
        let inspections = await FlushScheduleStateMachine.each(paths) { await self.inspect($0) }
        let left = inspections.filter { $0.result == nil }
        let turns = NIOLockedValueBox(
            FlushScheduleStateMachine(
                count: left.count, end: end, conductors: self.conductors.count, connectTimeout: self.connectTimeout))
        let results = await FlushScheduleStateMachine.each(left) { inspection in
            // A signal ended the wait before this spool's turn.
            guard !Task.isCancelled else { return inspection.notAttempted }
            let turn = turns.withLockedValue { $0.next(now: .now) }
            let (result, conductor) = await self.flush(inspection.path, turn)
            turns.withLockedValue { turns in
                if let place = conductor.flatMap({ self.conductors.firstIndex(of: $0) }) {
                    turns.delivered(to: place)
                } else if result.waiting > 0 {
                    turns.failed(turn)
                }
            }
            return result
        }
        var sum = Result()
        for result in inspections.compactMap(\.result) + results {
            sum.delivered += result.delivered
            sum.setAside += result.setAside
            sum.waiting += result.waiting
            sum.unopened += result.unopened
            sum.isDone = sum.isDone && result.isDone
            sum.sentences += result.sentences
        }
        sum.sentences.sort()
        return sum
    }

    /// A spool as it was found before it is opened, and its result if it is not opened.
    private struct Inspection {
        let path: String
        /// The spool's counts; nil for a spool that cannot be inspected.
        var counts: OutboxCounts?
        var result: Result?

        /// The result of a spool that a signal ended the wait for. Its waiting outcomes are counted in the summary. A
        /// sentence is added if the spool may hold anything else.
        var notAttempted: Result {
            var result = Result(waiting: self.counts?.waiting ?? 0, isDone: false)
            if self.counts.map({ $0.running > 0 || $0.waiting == 0 }) ?? true {
                result.sentences.append("\(self.path) was not tried: a signal ended the wait. Run the flush again.")
            }
            return result
        }
    }

    private func inspect(_ path: String) async -> Inspection {
        var inspection = Inspection(path: path)
        // A spool that cannot be inspected is opened nevertheless: the agent may repair it when it opens it.
        guard let found = try? await SpoolInspection(path).overview() else { return inspection }
        inspection.counts = found.counts
        if case .process(let process) = found.holder {
            var result = Result()
            result.sentences.append(Self.isHeld(path, "process \(process) delivers", found))
            inspection.result = result
        } else if found.counts.waiting == 0, found.counts.running == 0, !found.mustBeOpened {
            inspection.result = Result()
        }
        return inspection
    }

    /// - Returns: the spool's result, and the conductor that accepted outcomes of it last.
    private func flush(_ path: String, _ turn: FlushScheduleStateMachine.Turn) async -> (Result, ConductorAddress?) {
        var result = Result()
        var conductor: ConductorAddress?
        do {
            let spool = try await Spool.open(path, configuration: .init(self.settings), logger: self.logger)
            do {
                let before = try await spool.counts()
                conductor = try await self.deliver(spool, path, turn)
                let after = try await spool.counts()
                result.delivered = after.delivered - before.delivered
                result.setAside = spool.setAsideWhenOpened + after.setAside - before.setAside
                result.waiting = after.waiting
                result.isDone = result.isDone && after.waiting == 0
                try await spool.close()
                if (try? await SpoolInspection(path).overview())?.mustBeOpened == true {
                    result.isDone = false
                    result.sentences.append(
                        "\(path): not all outcomes of another guest could be set aside; run the flush again.")
                }
            } catch {
                try? await spool.close()
                throw error
            }
        } catch let error as OutboxError where error.code == .inUse {
            result.sentences.append(Self.isHeld(path, "the agent that uses it delivers", nil))
        } catch {
            result.isDone = false
            result.unopened = 1
            result.sentences.append("\(error)")
        }
        return (result, conductor)
    }

    private static func isHeld(_ path: String, _ holder: String, _ overview: SpoolOverview?) -> String {
        let waiting = overview.map { " (\($0.counts.waiting) waiting)" } ?? ""
        return "\(path) is in use\(waiting): \(holder) its outcomes."
    }

    /// - Returns: the conductor that accepted outcomes last.
    private func deliver(
        _ spool: Spool, _ path: String, _ turn: FlushScheduleStateMachine.Turn
    ) async throws -> ConductorAddress? {
        let agent = try GuestAgent(self.settings, turn: turn, outbox: spool, logger: self.logger)
        let services = ServiceGroup(
            configuration: .init(
                services: [.init(service: agent)], logger: Logger(label: "services") { _ in SwiftLogNoOpLogHandler() }))
        // The service group remembers the shutdown until it runs: the agent delivers what the spool holds, and ends.
        await services.triggerGracefulShutdown()
        do {
            try await self.notice.during(agent, place: path, timeout: turn.time) { try await services.run() }
        } catch is CancellationError {
            // A signal ended the wait; what waits is counted.
        }
        return agent.lastAcceptingConductor
    }
}
