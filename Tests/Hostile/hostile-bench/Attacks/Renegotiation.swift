// SPDX-License-Identifier: Apache-2.0

/// Uses openssl s_client to request renegotiation with TLS 1.2, and new keys with TLS 1.3, again and again.
struct Renegotiation: Attack {
    static let name = "renegotiation"
    static let mustHappen = ["renegotiations requested", "key updates requested", "new keys: answered"]
    static let mustNotHappen = ["renegotiated: answered"]

    func run(_ target: Target) async throws {
        await target.workers(2, perSecond: 3) { worker, _ in
            let identity = ForeignPeer.identity(target, worker)
            if worker == 0 {
                // s_client ends when the conductor rejects renegotiation.
                let said = try await ForeignPeer.run(
                    target, identity + ["-tls1_2"], [("R\n", "RENEGOTIATING"), (Requests.ping(), nil)])
                if said.contains("RENEGOTIATING") { target.tally.add("renegotiations requested") }
                if said.contains(#""result""#) { target.tally.add("renegotiated: answered") }
            } else {
                let keys = Array(repeating: (text: "K\n", answer: "KEYUPDATE" as String?), count: 20)
                let said = try await ForeignPeer.run(
                    target, identity + ["-tls1_3"], keys + [(Requests.ping(), #""result""#)])
                if said.contains("KEYUPDATE") { target.tally.add("key updates requested", keys.count) }
                if said.contains(#""result""#) { target.tally.add("new keys: answered") }
            }
        }
    }
}
