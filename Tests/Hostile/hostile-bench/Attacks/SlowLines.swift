// SPDX-License-Identifier: Apache-2.0

/// A slow loris attack on lines: guests with valid certificates, each sending a byte of a request a second.
struct SlowLines: Attack {
    static let name = "slow-lines"
    static let mustHappen = ["bytes"]
    static let mustNotHappen = ["answered"]

    func run(_ target: Target) async throws {
        let guests = try (0..<Target.identities).map { try target.guest($0) }
        await target.workers(400, perSecond: 200) { worker, _ in
            let socket = try await HostileSocket.open(
                target, tls: guests[worker % guests.count], from: worker % guests.count + 1)
            for byte in Requests.outcome(id: "1", instance: Target.instance(worker)).utf8 {
                guard socket.isOpen else { break }
                try await socket.send([byte])
                target.tally.add("bytes")
                try await Task.sleep(for: .seconds(1))
            }
        }
    }
}
