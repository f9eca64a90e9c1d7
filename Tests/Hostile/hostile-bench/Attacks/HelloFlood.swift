// SPDX-License-Identifier: Apache-2.0

/// Sends the same ClientHello again and again: the conductor generates keys and signs for each, and the attacker has no
/// work.
struct HelloFlood: Attack {
    static let name = "hello-flood"
    static let mustHappen = ["hellos answered"]

    func run(_ target: Target) async throws {
        let hello = try RawRecords.hello(target.guest(0))
        await target.workers(64, perSecond: 400) { _, _ in
            let socket = try await HostileSocket.open(target, closesWhenSpokenTo: true)
            try await socket.send(hello)
            await socket.waitForClose(.seconds(2))
            if socket.firstByte == RawRecords.Kind.handshake.rawValue { target.tally.add("hellos answered") }
        }
    }
}
