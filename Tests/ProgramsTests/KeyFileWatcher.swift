// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOConcurrencyHelpers

/// Watches a directory without a pause, on its own thread, for private keys that users other than the owner may read.
final class KeyFileWatcher: Sendable {
    private struct State {
        var isOver = false
        var exposed: Set<String> = []
        var waiter: CheckedContinuation<Set<String>, Never>?
        var hasEnded = false
    }

    private let state = NIOLockedValueBox(State())

    init(_ directory: String) {
        let thread = Thread { self.look(directory) }
        thread.start()
    }

    /// Ends the watch.
    ///
    /// - Returns: the names of the files that others could read.
    func stop() async -> Set<String> {
        await withCheckedContinuation { continuation in
            let result = self.state.withLockedValue { state -> Set<String>? in
                state.isOver = true
                if state.hasEnded { return state.exposed }
                state.waiter = continuation
                return nil
            }
            if let result { continuation.resume(returning: result) }
        }
    }

    private func look(_ directory: String) {
        var exposed: Set<String> = []
        while !self.state.withLockedValue({ $0.isOver }) {
            for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [] {
                let path = "\(directory)/\(name)"
                guard let mode = try? FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int,
                    mode & 0o077 != 0
                else { continue }
                let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
                if name.hasSuffix(".key") || text.contains("PRIVATE KEY") { exposed.insert(name) }
            }
        }
        let waiter = self.state.withLockedValue { state in
            state.exposed = exposed
            state.hasEnded = true
            return state.waiter.take()
        }
        waiter?.resume(returning: exposed)
    }
}
