// SPDX-License-Identifier: Apache-2.0

package import Logging
import NIOConcurrencyHelpers

/// Records what is logged at every level, and lets a test wait for it.
package final class LogRecorder: Sendable {
    /// One call of a logger.
    package struct Entry: Sendable, CustomStringConvertible {
        /// The logger's label.
        package var label: String
        /// The level.
        package var level: Logger.Level
        /// The message.
        package var message: String
        /// The logger's metadata, overridden by that of the call.
        package var metadata: [String: String]

        /// The whole entry, with the metadata sorted by key.
        package var description: String {
            let metadata = self.metadata.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }
            return "\(self.label) \(self.level) \(self.message)\(metadata.joined())"
        }

        fileprivate static func cancelled(_ message: String) -> Entry {
            Entry(label: "test", level: .critical, message: "Cancelled while waiting for: \(message)", metadata: [:])
        }
    }

    private struct Waiter {
        var message: String
        /// Whether finding the entry marks it and all entries before it as read.
        var moves: Bool
        var continuation: CheckedContinuation<Entry, Never>
    }

    private struct State {
        var entries: [Entry] = []
        var waiters: [Int: Waiter] = [:]
        var lastWaiter = 0
        /// The number of entries that are read; ``next(_:)`` searches after them.
        var read = 0
    }

    private let state = NIOLockedValueBox(State())

    /// Creates a recorder without entries.
    package init() {}

    /// A logger that writes here.
    package var logger: Logger { self.logger("test") }

    /// Returns a logger with this label that writes here.
    package func logger(_ label: String) -> Logger {
        Logger(label: label) { Handler(recorder: self, label: $0) }
    }

    /// All entries so far, one a line.
    package var text: String { self.entries.map(\.description).joined(separator: "\n") }

    /// The entries so far.
    package var entries: [Entry] { self.state.withLockedValue { $0.entries } }

    /// Returns the number of entries, at level info or above, whose message begins with this text.
    package func count(_ message: String) -> Int {
        self.entries.count { $0.message.hasPrefix(message) && $0.level >= .info }
    }

    /// Waits for the first unread entry with this message.
    @discardableResult
    package func next(_ message: String) async -> Entry { await self.wait(for: message, moves: true) }

    /// Waits for the first entry of all with this message, read or not: for messages that come in any order.
    @discardableResult
    package func first(_ message: String) async -> Entry { await self.wait(for: message, moves: false) }

    /// Waits for an entry. If the test is cancelled, such as by its time limit, it returns an entry that says so.
    private func wait(for message: String, moves: Bool) async -> Entry {
        let id = self.state.withLockedValue { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let found = self.state.withLockedValue { state -> Entry? in
                    let entries = moves ? state.entries[state.read...] : state.entries[...]
                    if let index = entries.firstIndex(where: { $0.message.hasPrefix(message) }) {
                        if moves { state.read = index + 1 }
                        return state.entries[index]
                    }
                    if Task.isCancelled { return .cancelled(message) }
                    state.waiters[id] = Waiter(message: message, moves: moves, continuation: continuation)
                    return nil
                }
                if let found { continuation.resume(returning: found) }
            }
        } onCancel: {
            self.state.withLockedValue { $0.waiters.removeValue(forKey: id) }?.continuation
                .resume(returning: .cancelled(message))
        }
    }

    private func record(_ entry: Entry) {
        let woken = self.state.withLockedValue { state -> [Waiter] in
            state.entries.append(entry)
            let woken = state.waiters.filter { entry.message.hasPrefix($0.value.message) }
            for id in woken.keys { state.waiters[id] = nil }
            if woken.values.contains(where: \.moves) { state.read = state.entries.count }
            return Array(woken.values)
        }
        for waiter in woken { waiter.continuation.resume(returning: entry) }
    }

    private struct Handler: LogHandler {
        let recorder: LogRecorder
        let label: String
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            self.recorder.record(
                Entry(
                    label: self.label, level: event.level, message: event.message.description,
                    metadata: self.metadata.merging(event.metadata ?? [:]) { $1 }.mapValues { $0.description }))
        }
    }
}
