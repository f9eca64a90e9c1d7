// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOConcurrencyHelpers

/// Observes one operation from within.
final class OperationProbe: Sendable {
    private let state = NIOLockedValueBox((hasRun: false, isNotKept: false))

    @TaskLocal static var current: OperationProbe?

    /// Whether the operation's closure was called.
    var hasRun: Bool { self.state.withLockedValue { $0.hasRun } }
    /// Whether the agent logged that the outcome could not be kept. For an operation that fails, only the log shows it:
    /// the caller gets the operation's own error.
    var isNotKept: Bool { self.state.withLockedValue { $0.isNotKept } }

    func ran() { self.state.withLockedValue { $0.hasRun = true } }
    func notKept() { self.state.withLockedValue { $0.isNotKept = true } }
}

/// Forwards log lines, and informs the current operation's probe of a critical one.
struct ProbingLogHandler: LogHandler {
    private var inner: any LogHandler

    init(_ inner: any LogHandler) { self.inner = inner }

    var logLevel: Logger.Level {
        get { self.inner.logLevel }
        set { self.inner.logLevel = newValue }
    }

    var metadata: Logger.Metadata {
        get { self.inner.metadata }
        set { self.inner.metadata = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.inner[metadataKey: key] }
        set { self.inner[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) {
        if event.level == .critical { OperationProbe.current?.notKept() }
        self.inner.log(event: event)
    }
}
