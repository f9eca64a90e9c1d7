// SPDX-License-Identifier: Apache-2.0

import ProcessTesting
import Testing

@testable import TLSChannel

/// Peers that renew their keys, as TLS 1.3 lets them.
extension ForeignPeerTests {
    @Test func sClientMayRenewItsKeysAndGoesOn() async throws {
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

    @Test func sClientMayRenewItsKeysAndNotWithoutEnd() async throws {
        try await self.withServer { port, outcomes in
            let peer = try TestProcess("openssl", self.sClient(port, identity: "client", takesCommands: true))
            var echoed = 0
            // s_client now and then forgets one, so a few more than are free. The engine's own tests know the number to one.
            for number in 1...(TLSEngine.freeKeyUpdates + 8) where echoed == number - 1 {
                // A command of s_client's, if nothing else comes with it: renew, and have us renew. It is carried out with
                // the next data, which tells us nothing once the connection is cut. Sending fails when it has gone already.
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
