// SPDX-License-Identifier: Apache-2.0

/// Sends lines longer than the limit, and lines without an end, as fast as the conductor reads them.
struct LongLines: Attack {
    static let name = "long-lines"
    static let mustHappen = ["refused too_large", "KiB of endless lines"]
    static let mustNotHappen = ["answered"]

    func run(_ target: Target) async throws {
        let guests = try (0..<4).map { try target.guest(named: "long-\($0)") }
        let chunk = [UInt8](repeating: UInt8(ascii: "x"), count: 64 << 10)
        await target.workers(4, perSecond: 4) { worker, _ in
            let socket = try await HostileSocket.open(target, tls: guests[worker], from: worker + 1)
            let pause = Duration.milliseconds(15)
            for number in 1... {
                guard socket.isOpen else { break }
                try await socket.send(chunk)
                if worker.isMultiple(of: 2) {
                    // limits.line_bytes is 1 MiB.
                    if number.isMultiple(of: 17) { try await socket.send("\n") }
                } else {
                    target.tally.add("KiB of endless lines", 64)
                }
                try await Task.sleep(for: pause)
            }
        }
    }
}
