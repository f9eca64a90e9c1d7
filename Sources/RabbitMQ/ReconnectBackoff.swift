// SPDX-License-Identifier: Apache-2.0

/// An exponential backoff with full jitter, so that many publishers do not return to a broker in step.
struct ReconnectBackoff {
    private let configuration: PublisherConfiguration.Backoff
    private var bound: Duration

    init(_ configuration: PublisherConfiguration.Backoff) {
        self.configuration = configuration
        self.bound = configuration.minimum
    }

    mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let delay = self.bound * Double.random(in: 0...1, using: &generator)
        self.bound = min(self.bound * 2, max(self.configuration.maximum, self.configuration.minimum))
        return delay
    }

    /// Starts again at the minimum, after a connection or a declaration has worked.
    mutating func reset() {
        self.bound = self.configuration.minimum
    }
}
