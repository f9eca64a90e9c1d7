// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
package import NIOPosix

/// A serial queue of one kind of work that blocks, which coalesces requests.
///
/// Work that hangs blocks one thread and no other. A caller that waits for the work can stop waiting.
package final class CoalescingWorkQueue: Sendable {
    /// The work; `isRequested` is whether a caller explicitly requested it.
    package typealias Work = @Sendable (_ isRequested: Bool) -> Void

    private struct State {
        /// The number of finished runs; the run in progress has the next number.
        var done: UInt64 = 0
        var began: ContinuousClock.Instant?
        /// The run after the one in progress; it serves all requests that arrive meanwhile.
        var next: (isRequested: Bool, work: Work)?
        var waiters: [UInt64: (run: UInt64, sink: AsyncStream<Void>.Continuation)] = [:]
        var nextWaiter: UInt64 = 0
    }

    private let threads: NIOThreadPool
    private let state = NIOLockedValueBox(State())

    package init(threads: NIOThreadPool) {
        self.threads = threads
    }

    /// The time that the run in progress has taken so far; nil when there is none.
    package var elapsed: Duration? {
        self.state.withLockedValue { $0.began?.duration(to: .now) }
    }

    /// Requests the work. If no run is in progress, it starts now. Otherwise an explicit request gets a run after the
    /// one in progress, because that one may have read an earlier state. Any other request joins the next run if there
    /// is one, otherwise the one in progress.
    ///
    /// - Returns: the number of the run that does the work, for ``wait(for:atMost:)``.
    package func request(isRequested: Bool, _ work: @escaping Work) -> UInt64 {
        let (run, isFree) = self.state.withLockedValue { state in
            if state.began == nil {
                state.began = .now
                return (state.done + 1, true)
            }
            guard isRequested || state.next != nil else { return (state.done + 1, false) }
            state.next = (isRequested || state.next?.isRequested == true, work)
            return (state.done + 2, false)
        }
        if isFree { self.start(isRequested, work) }
        return run
    }

    /// Waits for the end of a run, until the task is cancelled or the limit has passed.
    ///
    /// - Returns: whether the run is over.
    package func wait(for run: UInt64, atMost limit: Duration) async -> Bool {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait(for: run) }
            group.addTask { try? await Task.sleep(for: limit) }
            await group.next()
            group.cancelAll()
        }
        return self.state.withLockedValue { $0.done >= run }
    }

    private func wait(for run: UInt64) async {
        let (end, sink) = AsyncStream.makeStream(of: Void.self)
        let number = self.state.withLockedValue { state -> UInt64? in
            guard state.done < run else { return nil }
            state.nextWaiter += 1
            state.waiters[state.nextWaiter] = (run, sink)
            return state.nextWaiter
        }
        guard let number else { return }
        // The stream ends with the run, or when the task is cancelled.
        for await _ in end {}
        self.state.withLockedValue { _ = $0.waiters.removeValue(forKey: number) }
    }

    private func start(_ isRequested: Bool, _ work: @escaping Work) {
        // A pool that has stopped does no work; the run ends nevertheless.
        self.threads.submit { state in
            if case .active = state { work(isRequested) }
            self.end()
        }
    }

    private func end() {
        let (next, sinks) = self.state.withLockedValue { state in
            state.done += 1
            let next = state.next
            state.next = nil
            state.began = next == nil ? nil : .now
            return (next, state.waiters.values.filter { $0.run <= state.done }.map(\.sink))
        }
        for sink in sinks { sink.finish() }
        if let next { self.start(next.isRequested, next.work) }
    }
}
