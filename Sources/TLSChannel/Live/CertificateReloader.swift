// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Logging
import NIOConcurrencyHelpers
package import NIOPosix

/// A watcher of the files of a ``LiveTLSContext``: it loads what has changed, rejects what cannot be used, and logs
/// what expires.
package final class CertificateReloader: Sendable {
    private struct State {
        var machine: ReloadStateMachine
        var watch = ExpiryStateMachine()
        var hasBegun = false
    }

    private let live: LiveTLSContext
    private let interval: Duration
    private let logger: Logger
    private let slowness: Duration
    private let paths: [String]
    private let turns: CoalescingWorkQueue
    // The lock is held while files are read; only one run of the queue's work at a time does that.
    private let state: NIOLockedValueBox<State>

    /// Creates a reloader, which does nothing before ``run()`` or ``reload()``.
    ///
    /// - Parameters:
    ///   - live: the context to keep up to date; the files are those of its current configuration.
    ///   - interval: the time between two checks of the files.
    ///   - gracePeriod: how long the files may be unusable, or not belong together, before that is logged.
    ///   - slowness: how long a check of the files may take before that is logged: their disk may hang.
    ///   - threads: the threads that read the files; a pool that never stops.
    ///   - logger: the log for changes, rejected files, and what expires.
    package init(
        live: LiveTLSContext, interval: Duration, gracePeriod: Duration = .seconds(3), slowness: Duration = .seconds(5),
        threads: NIOThreadPool = .singleton, logger: Logger
    ) {
        self.live = live
        self.interval = interval
        self.slowness = slowness
        self.turns = CoalescingWorkQueue(threads: threads)
        self.logger = logger
        let configuration = live.current.configuration
        self.paths = [
            configuration.certificateChain, configuration.privateKey, configuration.trustRoots,
            configuration.revocationLists,
        ].compactMap { source in
            if case .file(let path)? = source { path } else { nil }
        }
        self.state = NIOLockedValueBox(State(machine: ReloadStateMachine(gracePeriod: gracePeriod)))
    }

    /// Checks the files until the task is cancelled. On cancellation it does not wait for a check that hangs.
    package func run() async {
        while !Task.isCancelled {
            let turn = self.look(isAsked: false)
            var limit = self.slowness
            while await !self.turns.wait(for: turn, atMost: limit), !Task.isCancelled {
                self.logSlowness()
                limit = .seconds(60)
            }
            if limit != self.slowness, !Task.isCancelled {
                self.logger.notice("The file system of the certificate files responds again")
            }
            try? await Task.sleep(for: self.interval)
        }
    }

    /// Reads the files now, whether they seem changed or not, and logs the result. If the files cannot be read in time,
    /// it logs that instead, and the files are read as soon as they can be.
    package func reload() async {
        let turn = self.look(isAsked: true)
        let isOver = await self.turns.wait(for: turn, atMost: self.slowness)
        if !isOver, !Task.isCancelled { self.logSlowness() }
    }

    /// Whether the current check of the files has taken longer than `slowness`. Meanwhile no revocation takes effect.
    package var isStuck: Bool { self.turns.lasting.map { $0 > self.slowness } ?? false }

    /// Requests a check of the files on a thread for blocking work. The files may be on a disk that hangs, and neither
    /// an event loop nor a task's thread may wait for it.
    private func look(isAsked: Bool) -> UInt64 {
        self.turns.request(isAsked: isAsked) { isAsked in
            self.state.withLockedValue { self.look(isAsked: isAsked, &$0) }
        }
    }

    private func logSlowness() {
        let seconds = self.turns.lasting.map { $0.components.seconds } ?? 0
        self.logger.error(
            "The certificate files cannot be read: their file system does not respond; renewals and revocations take no effect until it does",
            metadata: ["seconds": "\(seconds)", "files": "\(self.paths.joined(separator: " "))"])
    }

    private func look(isAsked: Bool, _ state: inout State) {
        if !state.hasBegun {
            state.hasBegun = true
            self.logExpiries(self.live.current.expiries)
        }
        let stamps = FileStamps(self.paths)
        if state.machine.looked(stamps, isAsked: isAsked, isFresh: stamps.areFresh(at: Int64(time(nil))), now: .now) {
            self.read(stamps, isAsked: isAsked, &state)
        }
        for notice in state.watch.dueWarnings(self.live.current.expiries, now: Int64(time(nil))) { self.warn(notice) }
    }

    private func read(_ stamps: FileStamps, isAsked: Bool, _ state: inout State) {
        let reading = CertificateReading(replacing: self.live.current, now: Int64(time(nil)))
        let hasMoved = FileStamps(self.paths) != stamps
        let verdict = state.machine.read(reading.outcome, hasMoved: hasMoved, isAsked: isAsked, now: .now)
        // Connections of revoked peers close at once, even while the new key cannot be used yet.
        if case .bad = reading.outcome, let context = reading.context, !hasMoved { self.use(context, isWhole: false) }
        switch (verdict, reading.context) {
        case (.nothing, _), (.use, nil): break
        case (.use, let context?): self.use(context, isWhole: true)
        case (.logUnchanged(let wasBad), _):
            self.live.recovered()
            self.logger.info(
                wasBad
                    ? "The certificate files are usable again; they hold what is in use"
                    : "Reread the certificate files; they hold what is in use already")
        case (.refuse(let reason), _):
            self.live.refused(reason)
            let effect =
                switch reading.context == nil || !hasMoved ? reading.kept : nil {
                case .nothing?, .identity?:
                    "the previous certificate and key stay in use, authorities and revocation lists are up to date"
                case .identityAndRoots?:
                    "the certificate, key and authorities that were read before stay in use, revocation lists are up to date"
                case nil: "the previous ones stay in use, and later revocations are unknown"
                }
            self.logger.error(
                "Failed to load the certificate files; \(effect)",
                metadata: ["reason": "\(reason)", "files": "\(self.paths.joined(separator: " "))"])
        }
    }

    private func use(_ context: TLSContext, isWhole: Bool) {
        let cut = self.live.replace(with: context, isWhole: isWhole)
        self.logger.info(
            isWhole
                ? "Reloaded certificates for new connections"
                : "Reloaded authorities or revocation lists; kept the previous certificate",
            metadata: [
                "revoked": "\(context.revocationLists?.count ?? 0)", "connections_cut": "\(cut.all)",
            ])
        if cut.revoked > 0 {
            self.logger.warning(
                "Closed connections: their peers' certificates are revoked",
                metadata: ["connections": "\(cut.revoked)"])
        }
        if cut.untrusted > 0 {
            self.logger.warning(
                "Closed connections: no trusted authority has issued their peers' certificates",
                metadata: ["connections": "\(cut.untrusted)"])
        }
        self.logExpiries(context.expiries)
    }

    private func logExpiries(_ expiries: [TLSExpiry]) {
        let now = Int64(time(nil))
        for expiry in expiries {
            self.logger.info("In use: \(expiry.line(now: now))")
        }
    }

    private func warn(_ notice: ExpiryStateMachine.Warning) {
        let what =
            notice.expiry.kind == .certificate || notice.expiry.kind == .intermediate
            ? "peers reject this side" : "peers of this authority are rejected"
        let line = notice.expiry.line(now: notice.expiry.notAfter - notice.remaining)
        if notice.isEarly {
            self.logger.warning("Not valid yet; \(what) until it is; check this machine's clock: \(line)")
        } else if notice.isExpired {
            self.logger.error("Expired; \(what) until it is renewed: \(line)")
        } else {
            self.logger.warning("Expires soon; after its end \(what): \(line)")
        }
    }
}
