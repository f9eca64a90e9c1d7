// SPDX-License-Identifier: Apache-2.0

/// Sends nested arrays and objects, as deep as a line allows, and one level deeper than the limit.
struct Nesting: Attack {
    static let name = "nesting"
    static let mustHappen = ["refused parse_error"]
    static let mustNotHappen = ["answered"]

    func run(_ target: Target) async throws {
        let guests = try (0..<4).map { try target.guest(named: "nested-\($0)") }
        // limits.line_bytes is 1 MiB.
        let depth = 1_000_000
        let bombs = [
            String(repeating: "[", count: depth),
            String(repeating: "[", count: depth / 2) + String(repeating: "]", count: depth / 2),
            String(repeating: #"{"a":"#, count: depth / 5),
            #"{"jsonrpc":"2.0","id":1,"method":"ping","params":"# + String(repeating: #"[{"a":"#, count: depth / 6),
            #"{"jsonrpc":"2.0","id":"# + String(repeating: "[", count: 32) + String(repeating: "]", count: 32)
                + #","method":"ping"}"#,
            // Within the limit of depth, and as wide as a line.
            "[" + String(repeating: "[[[[[[[[[[]]]]]]]]]],", count: depth / 22) + "x",
        ]
        await target.workers(4, perSecond: 1000) { worker, _ in
            let socket = try await HostileSocket.open(target, tls: guests[worker], from: worker + 5)
            var number = worker
            while socket.isOpen {
                try await socket.send(bombs[number % bombs.count] + "\n")
                number += 1
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }
}
