// SPDX-License-Identifier: Apache-2.0

/// A slow loris attack on the handshake: more connections than may have one in progress, each with a byte of its
/// ClientHello a second.
struct SlowHandshakes: Attack {
    static let name = "slow-handshakes"
    static let mustHappen = ["bytes"]

    /// limits.handshakes is 256.
    private static let connections = 400

    func run(_ target: Target) async throws {
        let hello = try RawRecords.hello(target.guest(0))
        await target.workers(Self.connections, perSecond: Double(Self.connections)) { worker, _ in
            let socket = try await HostileSocket.open(target, from: worker)
            for byte in hello {
                guard socket.isOpen else { break }
                try await socket.send([byte])
                target.tally.add("bytes")
                try await Task.sleep(for: .seconds(1))
            }
            if await socket.waitForClose(.seconds(30)) { target.tally.add("closed by the conductor") }
        }
    }
}
