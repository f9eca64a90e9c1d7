import NIOConcurrencyHelpers

/// What a reporter counts, from any thread.
package final class ReportCounters: Sendable {
    /// The counts at one moment.
    package struct Counts: Sendable, Hashable {
        /// Rounds begun: the source was asked for its rows.
        package var rounds = 0
        /// Rounds that failed, for whatever reason.
        package var failedRounds = 0
        /// Notifications that every driver vouched for, repetitions among them.
        package var published = 0

        /// Counts of these values.
        package init(rounds: Int = 0, failedRounds: Int = 0, published: Int = 0) {
            self.rounds = rounds
            self.failedRounds = failedRounds
            self.published = published
        }
    }

    private let state = NIOLockedValueBox(Counts())

    /// Counters that stand at nought.
    package init() {}

    /// The counts now.
    package var counts: Counts { self.state.withLockedValue { $0 } }

    /// A round has begun.
    func beganRound() { self.state.withLockedValue { $0.rounds += 1 } }

    /// A round has failed.
    func failedRound() { self.state.withLockedValue { $0.failedRounds += 1 } }

    /// Notifications were published.
    func published() { self.state.withLockedValue { $0.published += 1 } }
}
