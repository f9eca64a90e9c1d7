// SPDX-License-Identifier: Apache-2.0

/// An exponential backoff: the bound of the delays doubles with each attempt, up to a maximum.
///
/// The bound of the first delay is ``minimum``, and no bound exceeds ``maximum``. With full jitter, a delay is a random
/// part of its bound, so that many programs that lost the same peer do not return at the same moment.
package struct Backoff: Sendable, Hashable {
    /// How a delay is chosen below its bound.
    package enum Jitter: Sendable, Hashable {
        /// The delay is the bound.
        case none
        /// The delay is random, from zero up to the bound.
        case full
        /// The delay is random up to the bound, and at least half of ``Backoff/minimum``.
        case fullWithFloor
    }

    /// The bound of the first delay.
    package let minimum: Duration
    /// The bound of the longest delay. A maximum below ``minimum`` counts as ``minimum``.
    package var maximum: Duration
    private let jitter: Jitter
    private var bound: Duration

    /// Creates a backoff before its first attempt.
    package init(minimum: Duration, maximum: Duration, jitter: Jitter = .fullWithFloor) {
        self.minimum = minimum
        self.maximum = maximum
        self.jitter = jitter
        self.bound = minimum
    }

    /// Resets the bound to the minimum, after an attempt succeeded.
    package mutating func reset() { self.bound = self.minimum }

    /// Returns the delay before the next attempt.
    package mutating func next() -> Duration {
        var generator = SystemRandomNumberGenerator()
        return self.next(using: &generator)
    }

    /// Returns the delay before the next attempt, with this source of randomness.
    package mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let bound = self.bound
        self.bound = min(bound * 2, max(self.maximum, self.minimum))
        return switch self.jitter {
        case .none: bound
        case .full: bound * Double.random(in: 0...1, using: &generator)
        case .fullWithFloor: max(self.minimum / 2, bound * Double.random(in: 0...1, using: &generator))
        }
    }
}
