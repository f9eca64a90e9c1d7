// SPDX-License-Identifier: Apache-2.0

import ProcessTesting
import Testing

@testable import TLSChannel

/// Peers that renew their keys, as TLS 1.3 allows.
extension ForeignPeerTests {
    @Test("openssl s_client can renew its keys, several times in a row, and continue")
    func sClientKeyUpdates() async throws {
        try await self.withServer { port, outcomes in
            let peer = try TestProcess("openssl", self.sClient(port, identity: "client", takesCommands: true))
            var number = 0
            // Also several times with no data in between.
            for (round, count) in [1, 2, 5, 20].enumerated() {
                for _ in 1...count {
                    number += 1
                    try peer.send("K\n")
                    _ = await peer.outputUntil("KEYUPDATE", times: number)
                }
                try peer.send("hello \(round)\n")
                #expect(await peer.outputUntil("echo: hello \(round)").contains("echo: hello \(round)"))
            }
            peer.closeInput()
            #expect(await outcomes.next()?.errors.isEmpty == true)
            await peer.finish()
        }
    }

    @Test("openssl s_client is disconnected when it renews its keys too often")
    func sClientKeyUpdateLimit() async throws {
        try await self.withServer { port, outcomes in
            let peer = try TestProcess("openssl", self.sClient(port, identity: "client", takesCommands: true))
            var echoed = 0
            // s_client sometimes skips one, so this sends a few more than are free. KeyUpdateTests check the number.
            for number in 1...(TLSEngine.freeKeyUpdates + 8) where echoed == number - 1 {
                // Alone on a line this is a command of s_client: renew the keys, and request the same of the server. It
                // is carried out with the next data, which has no echo once the connection is cut. Sending fails when
                // s_client has exited already.
                guard (try? peer.send("K\n")) != nil else { break }
                _ = await peer.outputUntil("KEYUPDATE", times: number)
                guard (try? peer.send("hello \(number)\n")) != nil else { break }
                if await peer.outputUntil("echo: hello \(number)\n").contains("echo: hello \(number)\n") {
                    echoed = number
                }
            }
            #expect(echoed >= TLSEngine.freeKeyUpdates)
            #expect(echoed < TLSEngine.freeKeyUpdates + 8)
            let outcome = await outcomes.next()
            #expect(outcome?.errors == [TLSEngine.keyUpdatesError])
            _ = await peer.outputUntilExit()
            await peer.finish()
        }
    }
}
