// SPDX-License-Identifier: Apache-2.0

import ConductorService
import Logging
import NIOConcurrencyHelpers

/// The log of `conductor serve`, on standard error. A reader that is slow or has disconnected stalls no event loop.
struct ConductorLog: Sendable {
    private static let label = "conductor"
    private let writer = LogWriter { count in
        let line = LineCollector()
        Logger(label: ConductorLog.label) { StreamLogHandler(label: $0, stream: line) }.warning(
            "Dropped log lines because the reader is too slow", metadata: ["lines": "\(count)"])
        return line.text
    }

    /// The time that the log's reader has for the last lines when the conductor stops.
    static let drainTimeout = Duration.seconds(3)

    /// A logger whose lines are dropped and counted while the log's buffer is full.
    var logger: Logger {
        Logger(label: Self.label) { StreamLogHandler(label: $0, stream: self.writer.stream(.drop)) }
    }

    /// Returns the audit log of outcomes. None of its lines is dropped, and `log.level` does not apply to it.
    func audit(warnings: Logger) -> AuditLog {
        AuditLog(warnings: warnings, stream: self.writer.stream(.wait))
    }

    /// Waits until the log's reader has taken the last lines, for ``drainTimeout`` at most.
    func close() async { await self.writer.drain(within: Self.drainTimeout) }

    private final class LineCollector: TextOutputStream, Sendable {
        private let box = NIOLockedValueBox("")

        var text: String { self.box.withLockedValue { $0 } }

        func write(_ string: String) { self.box.withLockedValue { $0 += string } }
    }
}
