import Glibc
package import Logging
import NIOConcurrencyHelpers
package import NIOPosix

/// Watches the files of a ``LiveTLSContext``: takes up what was changed, refuses what cannot be used, and speaks of what
/// expires.
package final class CertificateReloader: Sendable {
    private struct State {
        var machine: ReloadStateMachine
        var watch = ExpiryWatch()
        var hasBegun = false
    }

    private let live: LiveTLSContext
    private let interval: Duration
    private let logger: Logger
    private let slowness: Duration
    private let paths: [String]
    private let turns: BlockingTurns
    // Held while files are read, which only one turn at a time does.
    private let state: NIOLockedValueBox<State>

    /// - Parameters:
    ///   - live: what is kept up to date; its files are those of its present context's configuration.
    ///   - interval: how long between two looks at the files.
    ///   - patience: how long the files may not belong together before that is said.
    ///   - slowness: how long a look at the files may take before that is said: their disk may hang.
    ///   - threads: where files are read; a pool that never stops.
    ///   - logger: told of changes, refusals, and what expires.
    package init(
        live: LiveTLSContext, interval: Duration, patience: Duration = .seconds(3), slowness: Duration = .seconds(5),
        threads: NIOThreadPool = .singleton, logger: Logger
    ) {
        self.live = live
        self.interval = interval
        self.slowness = slowness
        self.turns = BlockingTurns(threads: threads)
        self.logger = logger
        let configuration = live.current.configuration
        self.paths = [
            configuration.certificateChain, configuration.privateKey, configuration.trustRoots,
            configuration.revocationLists,
        ].compactMap { source in
            if case .file(let path)? = source { path } else { nil }
        }
        self.state = NIOLockedValueBox(State(machine: ReloadStateMachine(patience: patience)))
    }

    /// Looks at the files until the task is cancelled; does not wait then for a look that hangs.
    package func run() async {
        while !Task.isCancelled {
            let turn = self.look(isAsked: false)
            var limit = self.slowness
            while await !self.turns.wait(for: turn, atMost: limit), !Task.isCancelled {
                self.tellSlowness()
                limit = .seconds(60)
            }
            if limit != self.slowness, !Task.isCancelled {
                self.logger.notice("The certificate files could be looked at again")
            }
            try? await Task.sleep(for: self.interval)
        }
    }

    /// Reads the files now, whether they seem changed or not, and says in the log what came of it; or that they cannot be read
    /// in time, and then they are as soon as they can.
    package func reload() async {
        let turn = self.look(isAsked: true)
        let isOver = await self.turns.wait(for: turn, atMost: self.slowness)
        if !isOver, !Task.isCancelled { self.tellSlowness() }
    }

    /// Whether a look at the files has been under way for longer than it may: nobody is revoked meanwhile.
    package var isStuck: Bool { self.turns.lasting.map { $0 > self.slowness } ?? false }

    /// The files may lie on a disk that hangs: neither an event loop nor a task's thread may wait for it.
    private func look(isAsked: Bool) -> UInt64 {
        self.turns.request(isAsked: isAsked) { isAsked in
            self.state.withLockedValue { self.look(isAsked: isAsked, &$0) }
        }
    }

    private func tellSlowness() {
        let seconds = self.turns.lasting.map { $0.components.seconds } ?? 0
        self.logger.error(
            "The certificate files cannot be looked at: their file system does not answer; nothing is renewed and nobody is revoked until it does",
            metadata: ["seconds": "\(seconds)", "files": "\(self.paths.joined(separator: " "))"])
    }

    private func look(isAsked: Bool, _ state: inout State) {
        if !state.hasBegun {
            state.hasBegun = true
            self.tell(self.live.current.expiries)
        }
        let stamps = FileStamps(self.paths)
        if state.machine.looked(stamps, isAsked: isAsked, isFresh: stamps.areFresh(at: Int64(time(nil))), now: .now) {
            self.read(stamps, isAsked: isAsked, &state)
        }
        for notice in state.watch.notices(self.live.current.expiries, now: Int64(time(nil))) { self.warn(notice) }
    }

    private func read(_ stamps: FileStamps, isAsked: Bool, _ state: inout State) {
        let reading = CertificateReading(replacing: self.live.current, now: Int64(time(nil)))
        let hasMoved = FileStamps(self.paths) != stamps
        let verdict = state.machine.read(reading.outcome, hasMoved: hasMoved, isAsked: isAsked, now: .now)
        // What is revoked is cut at once, also while a new key is waited for.
        if case .bad = reading.outcome, let context = reading.context, !hasMoved { self.use(context, isWhole: false) }
        switch (verdict, reading.context) {
        case (.nothing, _), (.use, nil): break
        case (.use, let context?): self.use(context, isWhole: true)
        case (.tellUnchanged(let wasBad), _):
            self.live.recovered()
            self.logger.info(
                wasBad
                    ? "The certificate files can be used again: they hold what is in use"
                    : "The certificate files were read again: they hold what is in use already")
        case (.refuse(let reason), _):
            self.live.refused(reason)
            let effect =
                reading.isTrustCurrent && (reading.context == nil || !hasMoved)
                ? "the certificate and key that were read before stay in use, authorities and revocation lists are up to date"
                : "the ones that were read before stay in use, and what was revoked since is not known"
            self.logger.error(
                "The certificate files cannot be used; \(effect)",
                metadata: ["reason": "\(reason)", "files": "\(self.paths.joined(separator: " "))"])
        }
    }

    private func use(_ context: TLSContext, isWhole: Bool) {
        let cut = self.live.replace(with: context, isWhole: isWhole)
        self.logger.info(
            isWhole
                ? "New certificates are in use for new connections"
                : "New authorities or revocation lists are in use, with the certificate that was read before",
            metadata: [
                "revoked": "\(context.revocationLists?.count ?? 0)", "connections_cut": "\(cut.all)",
            ])
        if cut.revoked > 0 {
            self.logger.warning(
                "Connections were cut: their peers' certificates are revoked",
                metadata: ["connections": "\(cut.revoked)"])
        }
        if cut.untrusted > 0 {
            self.logger.warning(
                "Connections were cut: no authority of the files has issued their peers' certificates",
                metadata: ["connections": "\(cut.untrusted)"])
        }
        self.tell(context.expiries)
    }

    private func tell(_ expiries: [TLSExpiry]) {
        let now = Int64(time(nil))
        for expiry in expiries {
            self.logger.info("In use: \(expiry.line(now: now))")
        }
    }

    private func warn(_ notice: ExpiryWatch.Notice) {
        let what =
            notice.expiry.kind == .certificate || notice.expiry.kind == .intermediate
            ? "peers refuse this side" : "peers of this authority are refused"
        let line = notice.expiry.line(now: notice.expiry.notAfter - notice.remaining)
        if notice.isEarly {
            self.logger.warning("Not valid yet, so that \(what) until it is; is this machine's clock right? \(line)")
        } else if notice.isExpired {
            self.logger.error("Expired, so that \(what) until it is renewed: \(line)")
        } else {
            self.logger.warning("Expires soon; past its end \(what): \(line)")
        }
    }
}
