/// Peers that shut their writing side, or read nothing, and stay.
struct HalfClosed: Attack {
    static let name = "half-closed"
    static let mustHappen = ["halves closed", "requests that nobody reads the answers of"]

    func run(_ target: Target) async throws {
        let hello = try RawRecords.hello(target.guest(0))
        let guests = try (0..<Target.identities).map { try target.guest($0) }
        await target.workers(96, perSecond: 96) { worker, number in
            let guest = guests[worker / 4 % guests.count]
            switch worker % 4 {
            case 0:
                try await Self.closeHalf(
                    try await HostileSocket.open(target), number.isMultiple(of: 2) ? hello : [], target)
            case 1: try await Self.closeHalf(try await HostileSocket.open(target, tls: guest), [], target)
            case 2:
                let socket = try await HostileSocket.open(target, tls: guest)
                for id in 0..<20 { try await socket.send(Requests.ping(id: "\(id)")) }
                try await Self.closeHalf(socket, [], target)
            default:
                try await self.readNothing(
                    try await HostileSocket.open(target, tls: guest, receiveBuffer: 4096), target)
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

    /// The answers are as long as the ids, so that they soon have no room.
    private func readNothing(_ socket: HostileSocket, _ target: Target) async throws {
        try await socket.stopReading()
        let id = #"""# + String(repeating: "i", count: 100_000) + #"""#
        for _ in 0..<60 {
            if socket.sendIfWritable(Requests.ping(id: id)) {
                target.tally.add("requests that nobody reads the answers of")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        await socket.reset()
    }
}
