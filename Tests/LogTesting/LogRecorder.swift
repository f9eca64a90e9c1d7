// SPDX-License-Identifier: Apache-2.0

package import Logging
import NIOConcurrencyHelpers

/// Keeps what is logged at every level, and lets a test wait for it.
package final class LogRecorder: Sendable {
    /// One call of a logger.
    package struct Entry: Sendable, CustomStringConvertible {
        /// The logger's label.
        package var label: String
        /// The level.
        package var level: Logger.Level
        /// The message.
        package var message: String
        /// The logger's metadata, and the call's above it.
        package var metadata: [String: String]

        /// All of it, the metadata as it is, in its keys' order.
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
        /// Whether entries before the one that is found were waited for with it.
        var moves: Bool
        var continuation: CheckedContinuation<Entry, Never>
    }

    private struct State {
        var entries: [Entry] = []
        var waiters: [Int: Waiter] = [:]
        var lastWaiter = 0
        /// Entries before this one were waited for already.
        var read = 0
    }

    private let state = NIOLockedValueBox(State())

    /// Nothing was logged yet.
    package init() {}

    /// A logger that writes here.
    package var logger: Logger { self.logger("test") }

    /// A logger that writes here, under this label.
    package func logger(_ label: String) -> Logger {
        Logger(label: label) { Handler(recorder: self, label: $0) }
    }

    /// All that was logged so far, a line each.
    package var text: String { self.entries.map(\.description).joined(separator: "\n") }

    /// What was logged so far.
    package var entries: [Entry] { self.state.withLockedValue { $0.entries } }

    /// How many entries, at level info or above, have a message that begins so.
    package func count(_ message: String) -> Int {
        self.entries.count { $0.message.hasPrefix(message) && $0.level >= .info }
    }

    /// The first entry with this message since the one that was waited for before.
    @discardableResult
    package func next(_ message: String) async -> Entry { await self.wait(for: message, moves: true) }

    /// The first entry of all with this message, whatever was waited for before: for what comes in any order.
    @discardableResult
    package func first(_ message: String) async -> Entry { await self.wait(for: message, moves: false) }

    /// A test that is cancelled, such as by its time limit, waits no longer: it gets an entry that says so.
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
