// SPDX-License-Identifier: Apache-2.0

/// Sends TLS records of one byte each, of a line without an end, as fast as the conductor reads them.
struct SmallRecords: Attack {
    static let name = "small-records"
    static let mustHappen = ["records"]
    static let mustNotHappen = ["answered"]

    /// The number of records that are sent at a time.
    private static let count = 1000

    func run(_ target: Target) async throws {
        let guests = try (0..<4).map { try target.guest($0) }
        await target.workers(4, perSecond: 4) { worker, _ in
            let socket = try await HostileSocket.open(target, tls: guests[worker], from: worker + 1)
            while socket.isOpen {
                if socket.sendIfWritable(UInt8(ascii: "x"), records: Self.count) {
                    target.tally.add("records", Self.count)
                }
                try await Task.sleep(for: .milliseconds(5))
            }
        }
    }
}
