// SPDX-License-Identifier: Apache-2.0

/// Peers that finish their handshakes, with a certificate of another authority, or with none.
struct Strangers: Attack {
    static let name = "strangers"
    static let mustHappen = ["foreign certificates", "no certificate"]
    static let mustNotHappen = ["answered", "without a certificate: answered"]

    func run(_ target: Target) async throws {
        let stranger = try target.stranger()
        async let bare: Void = target.workers(1, perSecond: 2) { _, _ in
            target.tally.add("no certificate")
            let said = try await ForeignPeer.run(target, ["-tls1_3"], [(Requests.ping(), "alert")])
            if said.contains(#""result""#) { target.tally.add("without a certificate: answered") }
        }
        await target.workers(8, perSecond: 150) { _, _ in
            // In TLS 1.3 a client has finished before the conductor has checked its certificate.
            let socket = try await HostileSocket.open(target, tls: stranger)
            target.tally.add("foreign certificates")
            try? await socket.send(Requests.ping())
            if await socket.waitForClose(.seconds(2)) { target.tally.add("closed by the conductor") }
        }
        await bare
    }
}
