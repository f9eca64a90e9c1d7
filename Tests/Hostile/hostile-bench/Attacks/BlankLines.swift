// SPDX-License-Identifier: Apache-2.0

/// Sends empty lines as fast as the conductor reads them: they are no requests, but they cost work.
struct BlankLines: Attack {
    static let name = "blank-lines"
    static let mustHappen = ["KiB of blank lines"]
    static let mustNotHappen = ["answered"]

    func run(_ target: Target) async throws {
        let guests = try (0..<4).map { try target.guest($0) }
        let lines = String(repeating: "\n", count: 16 << 10)
        await target.workers(4, perSecond: 4) { worker, _ in
            let socket = try await HostileSocket.open(target, tls: guests[worker], from: worker + 1)
            while socket.isOpen {
                if socket.sendIfWritable(lines) { target.tally.add("KiB of blank lines", 16) }
                try await Task.sleep(for: .milliseconds(2))
            }
        }
    }
}
