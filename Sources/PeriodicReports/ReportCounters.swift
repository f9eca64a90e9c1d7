// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// The counters of a reporter; any thread may use them.
package final class ReportCounters: Sendable {
    /// The counts at one moment.
    package struct Counts: Sendable, Hashable {
        /// Rounds that have begun; each one reads the source's rows.
        package var rounds = 0
        /// Rounds that failed, for any reason.
        package var failedRounds = 0
        /// Notifications that every driver has confirmed, repetitions included.
        package var published = 0

        /// Creates counts with these values.
        package init(rounds: Int = 0, failedRounds: Int = 0, published: Int = 0) {
            self.rounds = rounds
            self.failedRounds = failedRounds
            self.published = published
        }
    }

    private let state = NIOLockedValueBox(Counts())

    /// Creates counters at zero.
    package init() {}

    /// The current counts.
    package var counts: Counts { self.state.withLockedValue { $0 } }

    /// Counts a round that has begun.
    func countRound() { self.state.withLockedValue { $0.rounds += 1 } }

    /// Counts a round that has failed.
    func failedRound() { self.state.withLockedValue { $0.failedRounds += 1 } }

    /// Counts one published notification.
    func published() { self.state.withLockedValue { $0.published += 1 } }
}
