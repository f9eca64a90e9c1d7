// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import Subprocess

/// The lines that a program has written so far, and a way to wait for one.
final class OutputLines: Sendable {
    private struct State {
        var lines: [String] = []
        var isEnded = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    /// Thrown when the output or the test's time ends without the line that a test waits for.
    struct Missing: Error, CustomStringConvertible {
        let text: String
        let lines: [String]

        var description: String { "no line with \"\(self.text)\" in:\n\(self.lines.joined(separator: "\n"))" }
    }

    private let state = NIOLockedValueBox(State())

    /// All lines so far.
    var all: [String] { self.state.withLockedValue { $0.lines } }

    /// Whether the program has closed its output.
    var isEnded: Bool { self.state.withLockedValue { $0.isEnded } }

    /// Reads lines until the program closes its output.
    func read(_ output: SubprocessOutputSequence) async throws {
        defer { self.change { $0.isEnded = true } }
        for try await line in output.strings() {
            self.change { $0.lines.append(line) }
        }
    }

    /// Waits for a line that contains the text, up to the test's time limit.
    ///
    /// - Parameters:
    ///   - text: the text that the line contains.
    ///   - count: the number of such lines to wait for.
    /// - Returns: the last of these lines.
    @discardableResult
    func line(containing text: String, count: Int = 1) async throws -> String {
        while true {
            let (lines, isEnded) = self.state.withLockedValue { ($0.lines, $0.isEnded) }
            let found = lines.filter { $0.contains(text) }
            if found.count >= count { return found[count - 1] }
            if isEnded || Task.isCancelled { throw Missing(text: text, lines: lines) }
            await self.wait(past: lines.count)
        }
    }

    /// Waits until the program has closed its output.
    func end() async throws {
        while true {
            try Task.checkCancellation()
            let (count, isEnded) = self.state.withLockedValue { ($0.lines.count, $0.isEnded) }
            if isEnded { return }
            await self.wait(past: count)
        }
    }

    private func wait(past count: Int) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = self.state.withLockedValue { state in
                    guard state.lines.count == count, !state.isEnded, !Task.isCancelled else { return true }
                    state.waiters.append(continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            self.change { _ in }
        }
    }

    private func change(_ body: (inout State) -> Void) {
        let waiters = self.state.withLockedValue { state in
            body(&state)
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
