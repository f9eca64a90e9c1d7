// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Logging
import NIOConcurrencyHelpers
package import NIOCore
import NIOPosix
import ServiceLifecycle

/// A service that notifies systemd when the conductor is ready, reloads and stops, and that it is alive (a unit of
/// `Type=notify` with `WatchdogSec=`). Without systemd it does nothing.
///
/// The conductor is alive if every event loop responds, and so do the disks of the certificates and of the signing keys
/// of contexts. If an event loop hangs, guests wait without limit; if a disk hangs, no guest or key is revoked. Then no
/// watchdog notification is sent, and systemd restarts the conductor.
package final class SystemdService: Service {
    private struct State {
        var isReady = false
        /// The messages that systemd's socket has no space for yet, in order. If there are more than `mostUnsent`, the
        /// oldest are dropped, because only the last ones count.
        var unsent: [String] = []
        static let mostUnsent = 4
    }

    private let socket: NotifySocket?
    private let watchdog: Duration?
    private let isHealthy: @Sendable () -> Bool
    private let group: any EventLoopGroup
    private let logger: Logger
    private let state = NIOLockedValueBox(State())
    private let (unsent, unsentSink) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    /// - Parameters:
    ///   - environment: the process's environment, of which `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` are
    ///     used.
    ///   - processID: this process's id. A watchdog that is meant for another process is ignored.
    ///   - group: the event loops that must respond; nil for the conductor's.
    ///   - isHealthy: returns whether the rest of the conductor works.
    ///   - logger: logs failures to notify systemd.
    package init(
        environment: [String: String], processID: Int32, group: (any EventLoopGroup)? = nil,
        isHealthy: @escaping @Sendable () -> Bool = { true }, logger: Logger
    ) {
        self.isHealthy = isHealthy
        self.socket = environment["NOTIFY_SOCKET"].flatMap { NotifySocket($0) }
        self.group = group ?? MultiThreadedEventLoopGroup.singleton
        self.logger = logger
        let isOurs = environment["WATCHDOG_PID"].map { $0 == String(processID) } ?? true
        if isOurs, let microseconds = environment["WATCHDOG_USEC"].flatMap({ Int64($0) }), microseconds > 0 {
            self.watchdog = .microseconds(microseconds)
        } else {
            self.watchdog = nil
        }
        if let name = environment["NOTIFY_SOCKET"], self.socket == nil {
            logger.warning(
                "Cannot notify systemd: NOTIFY_SOCKET is not a valid path or abstract name",
                metadata: ["NOTIFY_SOCKET": "\(name)"])
        }
    }

    /// Notifies systemd at intervals that the conductor is alive. When a graceful shutdown begins, notifies it that the
    /// conductor stops, and returns.
    package func run() async throws {
        await withTaskGroup(of: Void.self) { tasks in
            // A third of the time, so that one late message and one lost message do not end the conductor.
            if let watchdog, self.socket != nil { tasks.addTask { await self.beat(every: watchdog / 3) } }
            tasks.addTask { await self.sendAgain() }
            try? await gracefulShutdown()
            self.notify("STOPPING=1\nSTATUS=Answering accepted requests")
            tasks.cancelAll()
        }
    }

    /// Notifies systemd that the conductor listens.
    package func ready() {
        self.state.withLockedValue { $0.isReady = true }
        self.notify("READY=1\nSTATUS=Listening for guests")
    }

    /// Notifies systemd that the conductor reads its certificates again; ``reloaded()`` must follow.
    package func reloading() {
        guard self.state.withLockedValue({ $0.isReady }) else { return }
        // Both clocks are CLOCK_MONOTONIC.
        self.notify("RELOADING=1\nMONOTONIC_USEC=\(NIODeadline.now().uptimeNanoseconds / 1000)")
    }

    /// Notifies systemd that the conductor has read its certificates.
    package func reloaded() {
        guard self.state.withLockedValue({ $0.isReady }) else { return }
        self.notify("READY=1\nSTATUS=Listening for guests")
    }

    private func beat(every interval: Duration) async {
        while !Task.isCancelled {
            for eventLoop in self.group.makeIterator() {
                // Waits without limit for an event loop that hangs, and then nothing is sent.
                _ = try? await eventLoop.submit {}.get()
            }
            // The next message makes up for a lost one.
            if self.isHealthy(), let failure = self.socket?.send("WATCHDOG=1"), failure != 0 {
                self.logFailure(failure, "WATCHDOG=1")
            }
            try? await Task.sleep(for: interval)
        }
    }

    /// Sends the message now, or as soon as systemd's socket has space for it. Systemd waits for these messages, and
    /// ends the conductor if they do not come.
    private func notify(_ text: String) {
        guard self.socket != nil else { return }
        self.state.withLockedValue { state in
            state.unsent.append(text)
            state.unsent.removeFirst(max(0, state.unsent.count - State.mostUnsent))
        }
        if !self.flush() { self.unsentSink.yield() }
    }

    private func sendAgain() async {
        for await _ in self.unsent {
            while !self.flush(), !Task.isCancelled { try? await Task.sleep(for: .milliseconds(50)) }
        }
    }

    /// Sends the messages that wait.
    ///
    /// - Returns: whether none is left to send.
    private func flush() -> Bool {
        guard let socket else { return true }
        let (failures, isEmpty) = self.state.withLockedValue { state in
            var failures: [(Int32, String)] = []
            while let text = state.unsent.first {
                let failure = socket.send(text)
                if failure == EAGAIN || failure == ENOBUFS { break }
                if failure != 0 { failures.append((failure, text)) }
                state.unsent.removeFirst()
            }
            return (failures, state.unsent.isEmpty)
        }
        for (failure, text) in failures { self.logFailure(failure, text) }
        return isEmpty
    }

    private func logFailure(_ failure: Int32, _ text: String) {
        self.logger.warning(
            "Failed to notify systemd",
            metadata: ["errno": "\(failure)", "message": "\(text.prefix { $0 != "\n" })"])
    }
}
