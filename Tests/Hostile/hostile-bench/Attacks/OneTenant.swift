// SPDX-License-Identifier: Apache-2.0

/// Four guests whose certificates name one tenant, each with its own address, combine the attacks of one guest: they
/// open more connections than they may, report as fast as they can, send large outcomes, begin lines without an end,
/// send empty lines, and hold handshakes open.
struct OneTenant: Attack {
    static let name = "four-guests-of-one-tenant"
    static let mustHappen = [
        "answered", "refused rate_limited", "refused not_permitted", "large requests", "KiB of endless lines",
        "KiB of blank lines", "silent", "own instance: accepted", "another guest's instance: refused",
    ]
    static let mustNotHappen = ["another guest's instance: accepted"]

    private static let guests = 4
    /// The number of connections of each guest at a time; limits.connections_per_guest is 8.
    private static let connections = 12
    /// The id of each report for another guest's instance, and of no other request.
    private static let foreignID = "2"

    func run(_ target: Target) async throws {
        let contexts = try (0..<Self.guests).map { try target.guestOfTenant($0) }
        let lines = (0..<Self.guests).map { number in
            let instance = Target.instanceOfTenant(number)
            return (
                small: Requests.outcome(id: "1", instance: instance)
                    + Requests.outcome(id: Self.foreignID, instance: "good-0"),
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
            let socket = try await HostileSocket.open(target, tls: contexts[guest], from: guest + 1) { line in
                Self.count(line, target.tally)
            }
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

    /// Counts an answer by its request, and by whether the report was accepted.
    private static func count(_ line: String, _ tally: Tally) {
        guard let id = line.firstMatch(of: #/"id":([0-9]+)[,}]/#)?.output.1 else { return }
        let name = id == Self.foreignID ? "another guest's instance" : "own instance"
        if line.contains(#""result":"#) {
            tally.add("\(name): accepted")
        } else if line.contains(#""reason":"not_permitted""#) {
            tally.add("\(name): refused")
        }
    }
}
