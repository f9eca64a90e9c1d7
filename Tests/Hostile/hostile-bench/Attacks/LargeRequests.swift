// SPDX-License-Identifier: Apache-2.0

/// Good requests that are as large as they may be, as fast as the conductor takes them: identifiers at their bound, all letters
/// outside ASCII, a line near its limit. The broker, slowed to 8 MB/s, is what they compete for with everybody else.
enum LargeRequests {
    /// A request of an instance, its line's end included; about 1 MB, of which half a megabyte is published.
    ///
    /// - Parameter tenant: the tenant that the guest's certificate names; nil when it names none.
    static func line(instance: String, tenant: String? = nil) -> String {
        func letters(_ bytes: Int) -> String { String(repeating: "é", count: bytes / 2) }
        // 255 bytes each, the most there may be.
        let identifier = letters(254) + "x"
        // In JSON a letter is six bytes, so that this is nearly limits.payload_bytes (256 KiB).
        let database = letters(84_000)
        // Cut to limits.trace_bytes (64 KiB), each of them.
        let value = letters(400_000)
        let trace = (0..<40).map { _ in #""\#(letters(10_000))""# }.joined(separator: ",")
        return
            #"{"jsonrpc":"2.0","id":1,"method":"notify_exc_info","params":{"context":{"operation":"database_create","#
            + #""request_id":"\#(identifier)","tenant_id":"\#(tenant ?? identifier)","user_id":"\#(identifier)","#
            + #""client_ip":"192.0.2.9","payload":{"instance_id":"\#(instance)","dbname":"\#(database)"}},"#
            + #""etype":"E","value":"\#(value)","trace":[\#(trace)]}}"# + "\n"
    }

    /// Sends them from so many connections, which belong to these guests.
    static func run(_ target: Target, connections: Int, guests: Range<Int>) async throws {
        let contexts = try guests.map { try target.guest($0) }
        let lines = guests.map { Self.line(instance: Target.instance($0)) }
        await target.workers(connections, perSecond: 20) { worker, _ in
            let guest = worker % guests.count
            let socket = try await HostileSocket.open(target, tls: contexts[guest], from: guests.lowerBound + guest + 1)
            while socket.isOpen {
                if socket.sendIfWritable(lines[guest]) { target.tally.add("sent") }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }
}

/// Three connections of one guest.
struct LargeRequests3: Attack {
    static let name = "large-requests-3"
    static let mustHappen = ["answered"]
    static let needsSlowBroker = true

    func run(_ target: Target) async throws { try await LargeRequests.run(target, connections: 3, guests: 0..<1) }
}

/// Twelve connections of one guest, another than that of the three, whose bytes are spent.
struct LargeRequests12: Attack {
    static let name = "large-requests-12"
    // So many lines at once are more than the guest's bytes: none need be read to its end in a short run.
    static let mustHappen = ["sent"]
    static let needsSlowBroker = true

    func run(_ target: Target) async throws { try await LargeRequests.run(target, connections: 12, guests: 4..<5) }
}

/// Twelve connections of four guests, which one tenant's instances may be.
struct LargeRequestsOf4Guests: Attack {
    static let name = "large-requests-of-4-guests"
    static let mustHappen = ["sent"]
    static let needsSlowBroker = true

    func run(_ target: Target) async throws { try await LargeRequests.run(target, connections: 12, guests: 0..<4) }
}
