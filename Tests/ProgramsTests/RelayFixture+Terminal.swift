// SPDX-License-Identifier: Apache-2.0

import Subprocess

extension RelayFixture {
    /// Runs `openssl s_client` as a guest that is connected while the body runs.
    func withTerminal(port: String, _ body: (RunningProgram) async throws -> Void) async throws {
        let arguments = [
            "s_client", "-connect", "127.0.0.1:\(port)", "-quiet", "-verify_return_error", "-alpn", "conductor-rpc/1",
            "-CAfile", self.path("tls/ca.pem"), "-cert", self.path("tls/guest-guest-1.pem"), "-key",
            self.path("tls/guest-guest-1.key"),
        ]
        _ = try await Program("openssl").run(arguments) { guest in
            try await guest.write(#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#)
            try await guest.standardOutput.line(containing: #""id":0"#)
            try await body(guest)
            // The client may wait until the conductor closes the connection; the test does not.
            try? guest.send(.terminate)
        }
    }
}
