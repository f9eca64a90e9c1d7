/// Four guests whose certificates name one tenant, each from its own address, do all at once what one guest can: open more connections
/// than it may, report as fast as it can, send large outcomes, begin lines that never end, send blank lines, and hold handshakes.
struct OneTenant: Attack {
    static let name = "four-guests-of-one-tenant"
    static let mustHappen = [
        "answered", "refused rate_limited", "refused not_permitted", "large requests", "KiB of endless lines",
        "KiB of blank lines", "silent",
    ]

    private static let guests = 4
    /// Connections of each guest at a time; limits.connections_per_guest is 8.
    private static let connections = 12

    func run(_ target: Target) async throws {
        let contexts = try (0..<Self.guests).map { try target.guestOfTenant($0) }
        let lines = (0..<Self.guests).map { number in
            let instance = Target.instanceOfTenant(number)
            return (
                small: Requests.outcome(id: "1", instance: instance) + Requests.outcome(id: "2", instance: "good-0"),
                large: LargeRequests.line(instance: instance, tenant: Requests.tenant)
            )
        }
        let (endless, blank) = (String(repeating: "x", count: 16 << 10), String(repeating: "\n", count: 16 << 10))
        await target.workers(Self.guests * Self.connections, perSecond: 48) { worker, _ in
            let (guest, role) = (worker % Self.guests, worker / Self.guests % 6)
            if role == 5 {
                let socket = try await HostileSocket.open(target, from: guest + 1)
                target.tally.add("silent")
                await socket.waitForClose(.seconds(30))
                return
            }
            let socket = try await HostileSocket.open(target, tls: contexts[guest], from: guest + 1)
            while socket.isOpen {
                switch role {
                case 0, 1: _ = socket.sendIfWritable(lines[guest].small)
                case 2: if socket.sendIfWritable(lines[guest].large) { target.tally.add("large requests") }
                case 3: if socket.sendIfWritable(endless) { target.tally.add("KiB of endless lines", 16) }
                default: if socket.sendIfWritable(blank) { target.tally.add("KiB of blank lines", 16) }
                }
                try await Task.sleep(for: .milliseconds(5))
            }
        }
    }
}
