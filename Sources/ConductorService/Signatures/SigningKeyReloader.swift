// SPDX-License-Identifier: Apache-2.0

package import ContextSigning
import Glibc
package import Logging
import NIOConcurrencyHelpers
package import NIOPosix
import TLSChannel

/// A reloader of the keys that contexts are signed with. It watches their files, loads changes, and rejects files that
/// cannot be used. Connections are not affected.
package final class SigningKeyReloader: Sendable {
    private struct State {
        var files: SigningKeyFiles
        var machine: ReloadStateMachine
    }

    private let live: LiveSigningKeys
    private let interval: Duration
    private let logger: Logger
    private let list: @Sendable () async throws -> SigningKeyFiles
    private let read: @Sendable (SigningKeyFiles) throws -> SigningKeySet
    private let slowness: Duration
    private let turns: CoalescingWorkQueue
    /// The files that the configuration named at the last ``reload()``, until a check of the files has used them.
    private let askedFiles = NIOLockedValueBox<SigningKeyFiles?>(nil)
    // Held while files are read, which only one run of the queue's work at a time does.
    private let state: NIOLockedValueBox<State>

    /// - Parameters:
    ///   - live: the keys that are kept up to date.
    ///   - files: the files that `live` was read from.
    ///   - interval: the time between two checks of the files.
    ///   - gracePeriod: the time for which the files may be unusable before this is logged.
    ///   - slowness: the time that a check of the files may take before it is logged as slow: their disk may hang.
    ///   - threads: the pool on which files are read; it must never stop.
    ///   - logger: logs the names of added and removed keys, and rejected files.
    ///   - list: returns the files that the configuration names now; called by ``reload()`` only.
    ///   - read: reads the files, and may block. Its errors must contain no part of a key.
    package init(
        live: LiveSigningKeys, files: SigningKeyFiles, interval: Duration, gracePeriod: Duration = .seconds(3),
        slowness: Duration = .seconds(5), threads: NIOThreadPool = .singleton, logger: Logger,
        list: @escaping @Sendable () async throws -> SigningKeyFiles,
        read: @escaping @Sendable (SigningKeyFiles) throws -> SigningKeySet
    ) {
        self.live = live
        self.interval = interval
        self.slowness = slowness
        self.turns = CoalescingWorkQueue(threads: threads)
        self.logger = logger
        self.list = list
        self.read = read
        self.state = NIOLockedValueBox(State(files: files, machine: ReloadStateMachine(gracePeriod: gracePeriod)))
    }

    /// Checks the files until the task is cancelled. After that it does not wait for a check that hangs.
    package func run() async {
        while !Task.isCancelled {
            let turn = self.look(isAsked: false)
            var limit = self.slowness
            while await !self.turns.wait(for: turn, atMost: limit), !Task.isCancelled {
                self.logSlowness()
                limit = .seconds(60)
            }
            try? await Task.sleep(for: self.interval)
        }
    }

    /// Reads the list of files from the configuration, and then the files, whether they seem changed or not. Logs the
    /// result. If the files cannot be read in time, logs that instead, and the files are read as soon as possible.
    package func reload() async {
        do {
            let files = try await self.list()
            self.askedFiles.withLockedValue { $0 = files }
        } catch {
            self.refuse("\(error)", [])
            return
        }
        let turn = self.look(isAsked: true)
        let isOver = await self.turns.wait(for: turn, atMost: self.slowness)
        if !isOver, !Task.isCancelled { self.logSlowness() }
    }

    /// Starts a check of the files on the pool. Their disk may hang, and neither an event loop nor a task's thread may
    /// wait for it.
    private func look(isAsked: Bool) -> UInt64 {
        self.turns.request(isAsked: isAsked) { isAsked in
            let files = self.askedFiles.withLockedValue { files in
                defer { files = nil }
                return files
            }
            self.state.withLockedValue { state in
                // Also if they cannot be read yet: the operator wants these files.
                if let files { state.files = files }
                self.look(isAsked: isAsked, &state)
            }
        }
    }

    private func logSlowness() {
        let seconds = self.turns.lasting.map { $0.components.seconds } ?? 0
        self.logger.error(
            """
            Failed to check the signing keys of contexts in time: their file system does not respond. No key changes until \
            it does
            """, metadata: ["seconds": "\(seconds)"])
    }

    private func look(isAsked: Bool, _ state: inout State) {
        let paths = state.files.paths
        let stamps = FileStamps(paths)
        guard
            state.machine.looked(
                stamps, isAsked: isAsked, isFresh: stamps.areFresh(at: Int64(time(nil))), now: .now)
        else { return }
        let outcome: ReloadStateMachine.Outcome
        var (keys, changes) = (self.live.current, SigningKeySet.Changes())
        do {
            let fresh = try self.read(state.files)
            changes = fresh.changes(from: keys)
            keys = fresh
            outcome = changes.isEmpty ? .same : .new
        } catch {
            outcome = .bad("\(error)")
        }
        let hasMoved = FileStamps(state.files.paths) != stamps
        switch state.machine.read(outcome, hasMoved: hasMoved, isAsked: isAsked, now: .now) {
        case .nothing: break
        case .use:
            self.live.replace(with: keys)
            func names(_ kids: [String]) -> Logger.MetadataValue { "\(kids.joined(separator: " "))" }
            self.logger.info(
                "Reloaded the signing keys of contexts",
                metadata: [
                    "added": names(changes.added), "removed": names(changes.removed),
                    "replaced": names(changes.replaced), "in_use": names(keys.keys.map(\.kid)),
                ])
        case .logUnchanged(let wasBad):
            self.logger.info(
                wasBad
                    ? "The signing keys of contexts are usable again, and unchanged"
                    : "Read the signing keys of contexts again; they are unchanged")
        case .refuse(let reason): self.refuse(reason, paths)
        }
    }

    private func refuse(_ reason: String, _ paths: [String]) {
        self.logger.error(
            "Failed to load the signing keys of contexts; the previous keys stay in use",
            metadata: ["reason": "\(reason)", "files": "\(paths.joined(separator: " "))"])
    }
}
