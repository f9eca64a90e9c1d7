// SPDX-License-Identifier: Apache-2.0

import ProcessTesting
import Testing

@testable import TLSChannel

/// No session outlives its connection, so none outlives a revocation.
extension ForeignPeerTests {
    @Test("openssl s_client receives no session that it could resume")
    func sClientSession() async throws {
        try await self.withServer { port, outcomes in
            let session = self.files.path("session.pem")
            let peer = try TestProcess(
                "openssl", self.sClient(port, ["-sess_out", session], identity: "client"))
            try peer.send("hello\n")
            // Tickets of TLS 1.3 arrive before the first data.
            let output = await peer.outputUntil("echo: hello")
            #expect(!output.contains("Post-Handshake New Session Ticket"))
            peer.closeInput()
            _ = await outcomes.next()
            await peer.finish()
            let saved = try TestProcess("openssl", ["sess_id", "-in", session, "-noout", "-text"])
            // There may be no file at all, or one with a session that has neither an id nor a ticket.
            let text = await saved.outputUntilExit()
            #expect(!text.contains("TLS session ticket:") && !text.contains("Resumption PSK: 0"), "\(text)")
        }
    }

    @Test("openssl s_client does not resume a TLS 1.2 session")
    func sClientSessionTLS12() async throws {
        var configuration = self.identities.serverConfiguration()
        configuration.minimumVersion = .tls12
        try await self.withServer(configuration) { port, outcomes in
            // Connects six times in total, with the session that it has kept from the first.
            let peer = try TestProcess(
                "openssl", self.sClient(port, ["-tls1_2", "-reconnect"], identity: "client"))
            try peer.send("hello\n")
            let output = await peer.outputUntil("echo: hello")
            #expect(output.contains("New, TLSv1.2") && !output.contains("Reused, TLSv1.2"), "\(output)")
            peer.closeInput()
            for _ in 1...6 { _ = await outcomes.next() }
            await peer.finish()
        }
    }
}
