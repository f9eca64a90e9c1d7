package import Logging
import NIOConcurrencyHelpers
package import NIOCore

/// Writes one line a minute, with a number, of what strangers can make happen as often as they like.
package final class Notice: Sendable {
    private let message: Logger.Message
    private let logger: Logger
    private let state: NIOLockedValueBox<NoticeInterval>

    /// - Parameters:
    ///   - message: what happened.
    ///   - interval: how long between two lines at least.
    ///   - logger: where it is written, as a warning.
    package init(_ message: Logger.Message, interval: TimeAmount = .seconds(60), logger: Logger) {
        self.message = message
        self.logger = logger
        self.state = NIOLockedValueBox(NoticeInterval(interval: interval))
    }

    /// It happened. Called on the event loop.
    ///
    /// - Parameter metadata: written along, if this is written at once.
    package func happened(on eventLoop: any EventLoop, metadata: @autoclosure () -> Logger.Metadata = [:]) {
        switch self.state.withLockedValue({ $0.happened(now: eventLoop.now) }) {
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
