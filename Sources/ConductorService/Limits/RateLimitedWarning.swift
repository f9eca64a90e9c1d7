// SPDX-License-Identifier: Apache-2.0

package import Logging
import NIOConcurrencyHelpers
package import NIOCore

/// A rate-limited warning about something that strangers can cause as often as they like: one line a minute, with a
/// count.
package final class RateLimitedWarning: Sendable {
    private let message: Logger.Message
    private let logger: Logger
    private let state: NIOLockedValueBox<RateLimitedWarningStateMachine>

    /// - Parameters:
    ///   - message: the message of the line.
    ///   - interval: the minimum time between two lines.
    ///   - logger: logs the lines as warnings.
    package init(_ message: Logger.Message, interval: TimeAmount = .seconds(60), logger: Logger) {
        self.message = message
        self.logger = logger
        self.state = NIOLockedValueBox(RateLimitedWarningStateMachine(interval: interval))
    }

    /// Records that it happened. Called on the event loop.
    ///
    /// - Parameter metadata: added to the line, if the line is logged at once.
    package func record(on eventLoop: any EventLoop, metadata: @autoclosure () -> Logger.Metadata = [:]) {
        switch self.state.withLockedValue({ $0.record(now: eventLoop.now) }) {
        case .write: self.logger.warning(self.message, metadata: metadata().merging(["times": "1"]) { $1 })
        case .callLater(let time):
            eventLoop.scheduleTask(deadline: time) {
                let times = self.state.withLockedValue { $0.due(now: eventLoop.now) }
                self.logger.warning(self.message, metadata: ["times": "\(times)"])
            }
        case .none: break
        }
    }
}
