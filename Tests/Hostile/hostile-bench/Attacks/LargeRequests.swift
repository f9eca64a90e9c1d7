// SPDX-License-Identifier: Apache-2.0

/// Valid requests of the maximum size, as fast as the conductor accepts them: identifiers of the maximum length,
/// letters outside ASCII only, and a line near the limit. They compete with all other guests for the broker, which is
/// slowed to 8 MB/s.
enum LargeRequests {
    /// Returns a request of an instance, including its line end; about 1 MB, of which half a megabyte is published.
    ///
    /// - Parameter tenant: the tenant that the guest's certificate names; nil if it names none.
    static func line(instance: String, tenant: String? = nil) -> String {
        func letters(_ bytes: Int) -> String { String(repeating: "é", count: bytes / 2) }
        // 255 bytes each, which is the maximum.
        let identifier = letters(254) + "x"
        // In JSON a letter takes six bytes, so this is nearly limits.payload_bytes (256 KiB).
        let database = letters(84_000)
        // Each of them is cut to limits.trace_bytes (64 KiB).
        let value = letters(400_000)
        let trace = (0..<40).map { _ in #""\#(letters(10_000))""# }.joined(separator: ",")
        return
            #"{"jsonrpc":"2.0","id":1,"method":"notify_exc_info","params":{"context":{"operation":"database_create","#
            + #""request_id":"\#(identifier)","tenant_id":"\#(tenant ?? identifier)","user_id":"\#(identifier)","#
            + #""client_ip":"192.0.2.9","payload":{"instance_id":"\#(instance)","dbname":"\#(database)"}},"#
            + #""etype":"E","value":"\#(value)","trace":[\#(trace)]}}"# + "\n"
    }

    /// Sends these requests on this many connections of these guests.
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

/// Twelve connections of one guest, but not the guest of the three connections, whose bytes are used up.
struct LargeRequests12: Attack {
    static let name = "large-requests-12"
    // So many lines at once exceed the guest's bytes: in a short run, possibly none is read to its end.
    static let mustHappen = ["sent"]
    static let needsSlowBroker = true

    func run(_ target: Target) async throws { try await LargeRequests.run(target, connections: 12, guests: 4..<5) }
}

/// Twelve connections of four guests, which may be the instances of one tenant.
struct LargeRequestsOf4Guests: Attack {
    static let name = "large-requests-of-4-guests"
    static let mustHappen = ["sent"]
    static let needsSlowBroker = true

    func run(_ target: Target) async throws { try await LargeRequests.run(target, connections: 12, guests: 0..<4) }
}
