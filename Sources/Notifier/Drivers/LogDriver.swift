// SPDX-License-Identifier: Apache-2.0

import Dispatch
package import DriverErrors
package import Foundation
package import Logging
import NIOConcurrencyHelpers
package import Notifications
import StandardIO

/// The `log` driver: writes each notification as a line of JSON, oslo's message object, to standard output.
///
/// A write may block when the reader is slow, so it runs on a separate queue.
package final class LogDriver: BatchingDriver {
    private struct State {
        var lines = 0
        var bytes = 0
        /// Whether a write failed and may have left a partial line.
        var hasPartialLine = false
        var failureLog = OutputFailureLogStateMachine()
    }

    /// The driver's name, `log`.
    package let name = DriverName.log.rawValue
    private let output: FileHandle
    private let capacity: Int
    private let capacityBytes: Int
    private let queue = DispatchQueue(label: "notifier.log")
    private let state = NIOLockedValueBox(State())
    private let logger: Logger?

    /// Creates a driver that writes to a file handle.
    ///
    /// - Parameters:
    ///   - output: the file handle for the lines.
    ///   - capacity: the maximum number of lines that wait for a slow reader; further lines are rejected as
    ///     unavailable.
    ///   - capacityBytes: the maximum number of bytes of the waiting lines together. A line that waits alone may be
    ///     longer.
    ///   - logger: logs that lines cannot be written, at most once a minute, and that they can be written again; nil
    ///     for no logging.
    package init(
        output: FileHandle = .standardOutput, capacity: Int = 10_000, capacityBytes: Int = 64 << 20,
        logger: Logger? = nil
    ) {
        self.output = output
        self.capacity = capacity
        self.capacityBytes = capacityBytes
        self.logger = logger
    }

    /// Writes the line, and confirms it once the kernel has accepted it.
    package func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        self.emit(Self.line(of: notification), notification.sender, completion)
    }

    /// Encodes the line.
    package func prepare(_ notification: NotificationMessage) -> PreparedNotification {
        let (line, sender) = (Self.line(of: notification), notification.sender)
        return PreparedNotification { self.emit(line, sender, $0) }
    }

    private static func line(of notification: NotificationMessage) -> [UInt8] {
        Envelope.messaging.encode(notification) + [UInt8(ascii: "\n")]
    }

    private func emit(
        _ line: [UInt8], _ sender: NotificationSender?,
        _ completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        let isAccepted = self.state.withLockedValue { state in
            guard state.lines < self.capacity, state.lines == 0 || state.bytes + line.count <= self.capacityBytes else {
                return false
            }
            state.lines += 1
            state.bytes += line.count
            return true
        }
        guard isAccepted else {
            // No part of this line is ever written.
            let error = self.failed("the queue of lines that wait for the reader of standard output is full")
            completion(.failure(error.asUnsent))
            return
        }
        sender?.charge(bytes: line.count)
        self.queue.async {
            let result = self.write(line)
            self.state.withLockedValue { state in
                state.lines -= 1
                state.bytes -= line.count
            }
            completion(result)
        }
    }

    /// Writes one line after the other, on the queue.
    private func write(_ line: [UInt8]) -> Result<Void, DriverError> {
        // A line directly behind a partial line could not be parsed, although this driver would have confirmed it.
        let hasPartialLine = self.state.withLockedValue { $0.hasPartialLine }
        do throws(DescriptorWriter.Failure) {
            try DescriptorWriter.write(
                hasPartialLine ? [UInt8(ascii: "\n")] + line : line, to: self.output.fileDescriptor)
        } catch {
            self.state.withLockedValue { $0.hasPartialLine = true }
            return .failure(self.failed("standard output cannot be written to: \(error)"))
        }
        let failed = self.state.withLockedValue { state in
            state.hasPartialLine = false
            return state.failureLog.recordSuccess()
        }
        if let failed {
            self.logger?.notice(
                "Resumed writing notifications to standard output", metadata: ["driver": "log", "failed": "\(failed)"])
        }
        return .success(())
    }

    /// Records and logs that a line could not be written: only the operator can repair standard output.
    private func failed(_ reason: String) -> DriverError {
        let times = self.state.withLockedValue { $0.failureLog.recordFailure(now: .now) }
        if let times {
            self.logger?.error(
                "Failed to write notifications to standard output; senders are asked to retry",
                metadata: ["driver": "log", "error": "\(reason)", "times": "\(times)"])
        }
        return DriverError(.unavailable, driver: self.name, reason: reason)
    }
}
