// SPDX-License-Identifier: Apache-2.0

/// Connects and disconnects: in order, by a reset, or in the middle of a ClientHello.
struct ConnectAndClose: Attack {
    static let name = "connect-and-close"
    static let mustHappen = ["opened"]

    func run(_ target: Target) async throws {
        let hello = try RawRecords.hello(target.guest(0))
        await target.workers(32, perSecond: 800) { _, number in
            let socket = try await HostileSocket.open(target)
            switch number % 4 {
            case 0: await socket.drop()
            case 1: await socket.reset()
            case 2:
                try await socket.send(Array(hello.prefix(hello.count / 2)))
                await socket.drop()
            default:
                try await socket.send(Array(hello.prefix(hello.count / 2)))
                await socket.reset()
            }
        }
    }
}
