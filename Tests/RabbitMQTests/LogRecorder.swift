import Logging
import NIOConcurrencyHelpers

/// Keeps what is logged, and lets a test wait for it.
final class LogRecorder: Sendable {
    struct Entry: Sendable, CustomStringConvertible {
        var level: Logger.Level
        var message: String
        var metadata: [String: String]

        var description: String { "\(self.level) \(self.message) \(self.metadata)" }
    }

    private struct Waiter {
        var matches: @Sendable (Entry) -> Bool
        var continuation: CheckedContinuation<Entry, Never>
    }

    private struct State {
        var entries: [Entry] = []
        var waiters: [Waiter] = []
        /// Entries before this one were waited for already.
        var read = 0
    }

    private let state = NIOLockedValueBox(State())

    var logger: Logger {
        Logger(label: "test") { _ in Handler(recorder: self) }
    }

    var entries: [Entry] { self.state.withLockedValue { $0.entries } }

    func count(_ message: String) -> Int {
        self.entries.count { $0.message.hasPrefix(message) && $0.level >= .info }
    }

    /// The first entry with this message since the one that was waited for before.
    @discardableResult
    func next(_ message: String) async -> Entry {
        await withCheckedContinuation { continuation in
            let found = self.state.withLockedValue { state -> Entry? in
                if let index = state.entries[state.read...].firstIndex(where: { $0.message.hasPrefix(message) }) {
                    state.read = index + 1
                    return state.entries[index]
                }
                state.waiters.append(
                    Waiter(matches: { $0.message.hasPrefix(message) }, continuation: continuation))
                return nil
            }
            if let found { continuation.resume(returning: found) }
        }
    }

    private func record(_ entry: Entry) {
        let woken = self.state.withLockedValue { state -> [Waiter] in
            state.entries.append(entry)
            let woken = state.waiters.filter { $0.matches(entry) }
            state.waiters.removeAll { $0.matches(entry) }
            if !woken.isEmpty { state.read = state.entries.count }
            return woken
        }
        for waiter in woken { waiter.continuation.resume(returning: entry) }
    }

    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            self.recorder.record(
                Entry(
                    level: event.level, message: event.message.description,
                    metadata: (event.metadata ?? [:]).mapValues { $0.description }))
        }
    }
}
