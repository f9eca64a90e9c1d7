// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOConcurrencyHelpers
package import NIOPosix

/// A watcher of files that change while the process runs. It checks them periodically, reads what has changed, and
/// passes each result on to its owner, which uses and logs it.
///
/// Files are checked and read on a thread for blocking work. Their disk may hang, and neither an event loop nor a task's
/// thread may wait for it.
package final class FileReloader<Value: Sendable>: Sendable {
    /// The files of one check. Both closures may block.
    package struct Files: Sendable {
        /// Returns the paths to check for changes.
        package let paths: @Sendable () -> [String]
        /// Reads the files. Returns whether they can be used, and the value that was made of them.
        package let read: @Sendable () -> (ReloadStateMachine.Outcome, Value)

        /// Files of these functions.
        package init(
            paths: @escaping @Sendable () -> [String],
            read: @escaping @Sendable () -> (ReloadStateMachine.Outcome, Value)
        ) {
            self.paths = paths
            self.read = read
        }
    }

    /// A reading of the files, and the decision about it.
    package struct Reading: Sendable {
        /// The value that was made of the files.
        package let value: Value
        /// Whether the files can be used.
        package let outcome: ReloadStateMachine.Outcome
        /// The action to take.
        package let verdict: ReloadStateMachine.Verdict
        /// Whether a file was changed during the reading, so that the files may not belong together.
        package let changedDuringReading: Bool
        /// The paths that were checked.
        package let paths: [String]
    }

    /// A step of the reloader that its owner handles. Only ``unresponsive(_:)`` may come while another event is handled.
    package enum Event: Sendable {
        /// The first check begins.
        case began
        /// The files were read.
        case read(Reading)
        /// A check is complete. If it read the files, ``read(_:)`` preceded this event.
        case checked
        /// A check has taken this long, which is too long: the file system does not respond.
        case unresponsive(Duration)
        /// The file system responds again: a check is complete after one that took too long was reported.
        case responsive
    }

    private struct State {
        var machine: ReloadStateMachine
        var hasBegun = false
        /// Whether ``Event/unresponsive(_:)`` was the last word about the file system.
        var isUnresponsive = false
    }

    private let interval: Duration
    private let hangThreshold: Duration
    private let queue: CoalescingWorkQueue
    private let files: @Sendable () -> Files
    private let handle: @Sendable (Event) -> Void
    private let state: NIOLockedValueBox<State>

    /// Creates a reloader, which does nothing before ``run()`` or ``reload()``.
    ///
    /// - Parameters:
    ///   - interval: the time between two checks of the files.
    ///   - gracePeriod: how long the files may be unusable, or not belong together, before they are rejected.
    ///   - hangThreshold: how long a check of the files may take before their file system counts as unresponsive.
    ///   - threads: the threads that read the files; a pool that never stops.
    ///   - files: returns the files for a check that begins. It must not block.
    ///   - handle: handles the events. It must not block.
    package init(
        interval: Duration, gracePeriod: Duration, hangThreshold: Duration, threads: NIOThreadPool,
        files: @escaping @Sendable () -> Files, handle: @escaping @Sendable (Event) -> Void
    ) {
        self.interval = interval
        self.hangThreshold = hangThreshold
        self.queue = CoalescingWorkQueue(threads: threads)
        self.files = files
        self.handle = handle
        self.state = NIOLockedValueBox(State(machine: ReloadStateMachine(gracePeriod: gracePeriod)))
    }

    /// Checks the files until the task is cancelled. On cancellation it does not wait for a check that hangs.
    package func run() async {
        while !Task.isCancelled {
            let check = self.requestCheck(isRequested: false)
            var limit = self.hangThreshold
            while await !self.queue.wait(for: check, atMost: limit), !Task.isCancelled {
                self.reportUnresponsive()
                limit = .seconds(60)
            }
            try? await Task.sleep(for: self.interval)
        }
    }

    /// Reads the files now, whether they seem changed or not. If they cannot be read in time, it reports that the file
    /// system does not respond, and the files are read as soon as they can be.
    package func reload() async {
        let check = self.requestCheck(isRequested: true)
        while await !self.queue.wait(for: check, atMost: self.hangThreshold), !Task.isCancelled {
            // Otherwise an earlier check has ended in this time, and this one has just begun.
            if self.isStuck { return self.reportUnresponsive() }
        }
    }

    /// Whether the current check of the files has taken longer than `hangThreshold`. Meanwhile no change takes effect.
    package var isStuck: Bool { self.queue.elapsed.map { $0 > self.hangThreshold } ?? false }

    private func reportUnresponsive() {
        self.handle(.unresponsive(self.queue.elapsed ?? .zero))
        // In this order: if the check ends in between, the end of the next one is reported.
        self.state.withLockedValue { $0.isUnresponsive = true }
    }

    private func requestCheck(isRequested: Bool) -> UInt64 {
        self.queue.request(isRequested: isRequested) { self.check(isRequested: $0) }
    }

    /// Checks the files. The queue runs one check at a time.
    private func check(isRequested: Bool) {
        let isFirst = self.state.withLockedValue { state in
            defer { state.hasBegun = true }
            return !state.hasBegun
        }
        if isFirst { self.handle(.began) }
        let files = self.files()
        let paths = files.paths()
        let stamps = FileStamps(paths)
        let isFresh = stamps.areFresh(at: Int64(time(nil)))
        let startsReading = self.state.withLockedValue {
            $0.machine.recordCheck(stamps, isRequested: isRequested, isFresh: isFresh, now: .now)
        }
        if startsReading {
            let (outcome, value) = files.read()
            let changedDuringReading = FileStamps(files.paths()) != stamps
            let verdict = self.state.withLockedValue {
                $0.machine.recordReading(
                    outcome, changedDuringReading: changedDuringReading, isRequested: isRequested, now: .now)
            }
            self.handle(
                .read(
                    Reading(
                        value: value, outcome: outcome, verdict: verdict, changedDuringReading: changedDuringReading,
                        paths: paths)))
        }
        self.handle(.checked)
        let isResponsiveAgain = self.state.withLockedValue { state in
            defer { state.isUnresponsive = false }
            return state.isUnresponsive
        }
        if isResponsiveAgain { self.handle(.responsive) }
    }
}
