// SPDX-License-Identifier: Apache-2.0

/// Blocks newcomers: eight addresses connect as often as they may, and each connection stays as long as the conductor
/// allows. A third of the connections send nothing, a third send a byte of a ClientHello now and then, and a third send
/// the whole ClientHello and nothing more.
struct FullEntrance: Attack {
    static let name = "full-entrance"
    static let mustHappen = ["silent", "bytes", "hellos"]

    /// The number of addresses, and limits.connections_per_second of each.
    private static let (addresses, rate) = (8, 20.0)

    func run(_ target: Target) async throws {
        let hello = try RawRecords.hello(target.guest(0))
        // Enough workers, so that none waits for an open connection, which may last for limits.handshake_timeout.
        let workers = Self.addresses * Int(Self.rate) * 12
        await target.workers(workers, perSecond: Double(Self.addresses) * Self.rate) { worker, _ in
            let socket = try await HostileSocket.open(target, from: worker % Self.addresses + 1)
            switch worker / Self.addresses % 3 {
            case 0: target.tally.add("silent")
            case 1:
                for byte in hello {
                    guard socket.isOpen else { break }
                    try await socket.send([byte])
                    target.tally.add("bytes")
                    try await Task.sleep(for: .milliseconds(200))
                }
            default:
                try await socket.send(hello)
                target.tally.add("hellos")
            }
            if await socket.waitForClose(.seconds(30)) { target.tally.add("closed by the conductor") }
        }
    }
}
