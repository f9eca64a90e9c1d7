import NIOConcurrencyHelpers
package import NIOPosix

/// Has a thread for blocking work do one piece of it at a time.
///
/// Work that hangs holds one thread, and no other behind it; who waits for it can give up.
package final class BlockingTurns: Sendable {
    /// Does the work; told whether somebody has asked for it.
    package typealias Work = @Sendable (_ isAsked: Bool) -> Void

    private struct State {
        /// How many turns are over: the next number is the one under way.
        var done: UInt64 = 0
        var began: ContinuousClock.Instant?
        /// What comes after the turn that is under way, however many have asked.
        var next: (isAsked: Bool, work: Work)?
        var waiters: [UInt64: (turn: UInt64, sink: AsyncStream<Void>.Continuation)] = [:]
        var nextWaiter: UInt64 = 0
    }

    private let threads: NIOThreadPool
    private let state = NIOLockedValueBox(State())

    package init(threads: NIOThreadPool) {
        self.threads = threads
    }

    /// How long the turn that is under way has lasted; nil when there is none.
    package var lasting: Duration? {
        self.state.withLockedValue { $0.began?.duration(to: .now) }
    }

    /// Has the work done: now, or after what is under way when somebody asks, who wants to know how things are from now on.
    ///
    /// - Returns: the number of the turn that does it, for ``wait(for:atMost:)``.
    package func request(isAsked: Bool, _ work: @escaping Work) -> UInt64 {
        let (turn, isFree) = self.state.withLockedValue { state in
            if state.began == nil {
                state.began = .now
                return (state.done + 1, true)
            }
            guard isAsked || state.next != nil else { return (state.done + 1, false) }
            state.next = (isAsked || state.next?.isAsked == true, work)
            return (state.done + 2, false)
        }
        if isFree { self.start(isAsked, work) }
        return turn
    }

    /// Waits for the end of a turn, until the task is cancelled, or for so long.
    ///
    /// - Returns: whether the turn is over.
    package func wait(for turn: UInt64, atMost limit: Duration) async -> Bool {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait(for: turn) }
            group.addTask { try? await Task.sleep(for: limit) }
            await group.next()
            group.cancelAll()
        }
        return self.state.withLockedValue { $0.done >= turn }
    }

    private func wait(for turn: UInt64) async {
        let (end, sink) = AsyncStream.makeStream(of: Void.self)
        let number = self.state.withLockedValue { state -> UInt64? in
            guard state.done < turn else { return nil }
            state.nextWaiter += 1
            state.waiters[state.nextWaiter] = (turn, sink)
            return state.nextWaiter
        }
        guard let number else { return }
        // Ends with the turn, and when the task is cancelled.
        for await _ in end {}
        self.state.withLockedValue { _ = $0.waiters.removeValue(forKey: number) }
    }

    private func start(_ isAsked: Bool, _ work: @escaping Work) {
        // A pool that has stopped does nothing; the turn is over all the same.
        self.threads.submit { state in
            if case .active = state { work(isAsked) }
            self.end()
        }
    }

    private func end() {
        let (next, sinks) = self.state.withLockedValue { state in
            state.done += 1
            let next = state.next
            state.next = nil
            state.began = next == nil ? nil : .now
            return (next, state.waiters.values.filter { $0.turn <= state.done }.map(\.sink))
        }
        for sink in sinks { sink.finish() }
        if let next { self.start(next.isAsked, next.work) }
    }
}
