// SPDX-License-Identifier: Apache-2.0

/// Offers tickets that were never issued, and sends early data with them: a little, and more than is skipped.
struct EarlyData: Attack {
    static let name = "early-data"
    static let mustHappen = ["hellos answered"]

    func run(_ target: Target) async throws {
        await target.workers(16, perSecond: 100) { worker, number in
            let socket = try await HostileSocket.open(target)
            let early = RawRecords.record(23, RawRecords.random(1200))
            let records = Array(repeating: early, count: number.isMultiple(of: 2) ? 1 : 40).flatMap { $0 }
            try? await socket.send(RawRecords.helloWithEarlyData() + records)
            if await socket.waitForClose(.milliseconds(200)) { target.tally.add("closed by the conductor") }
            if socket.firstByte == RawRecords.Kind.handshake.rawValue { target.tally.add("hellos answered") }
        }
    }
}
