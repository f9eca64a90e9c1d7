// SPDX-License-Identifier: Apache-2.0

/// Peers that shut down their writing side, or read nothing, and stay connected.
struct HalfClosed: Attack {
    static let name = "half-closed"
    static let mustHappen = ["halves closed", "requests with unread answers"]

    func run(_ target: Target) async throws {
        let hello = try RawRecords.hello(target.guest(0))
        let guests = try (0..<Target.identities).map { try target.guest($0) }
        await target.workers(96, perSecond: 96) { worker, number in
            let identity = worker / 4 % guests.count
            let (guest, address) = (guests[identity], identity + 1)
            switch worker % 4 {
            case 0:
                try await Self.closeHalf(
                    try await HostileSocket.open(target), number.isMultiple(of: 2) ? hello : [], target)
            case 1:
                try await Self.closeHalf(try await HostileSocket.open(target, tls: guest, from: address), [], target)
            case 2:
                let socket = try await HostileSocket.open(target, tls: guest, from: address)
                for id in 0..<20 { try await socket.send(Requests.ping(id: "\(id)")) }
                try await Self.closeHalf(socket, [], target)
            default:
                try await self.readNothing(
                    try await HostileSocket.open(target, tls: guest, from: address, receiveBuffer: 4096), target)
            }
        }
    }

    private static func closeHalf(_ socket: HostileSocket, _ bytes: [UInt8], _ target: Target) async throws {
        if !bytes.isEmpty { try await socket.send(bytes) }
        try await socket.stopReading()
        try await socket.halfClose()
        target.tally.add("halves closed")
        try await Task.sleep(for: .seconds(2))
        await socket.reset()
    }

    /// Causes more answers than the buffers hold, and answers that repeat very long ids.
    private func readNothing(_ socket: HostileSocket, _ target: Target) async throws {
        try await socket.stopReading()
        let long = Requests.ping(id: #"""# + String(repeating: "i", count: 100_000) + #"""#)
        let many = String(repeating: Requests.ping(), count: 500)
        for number in 0..<60 {
            let (requests, count) = number.isMultiple(of: 20) ? (many, 500) : (long, 1)
            if socket.sendIfWritable(requests) { target.tally.add("requests with unread answers", count) }
            try await Task.sleep(for: .milliseconds(50))
        }
        await socket.reset()
    }
}
