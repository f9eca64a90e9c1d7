// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ConductorRPC
import StandardIO

/// The conductor: accepts the outcomes that guests report over mutual TLS, and publishes them on the control plane's
/// notification queues.
@main
struct Conductor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "conductor",
        abstract: "Relay operation outcomes from database guests to the control plane's notification queues.",
        version: RPCProtocol.version,
        subcommands: [
            Serve.self, Notify.self, PrintContext.self, Events.self, CheckConfig.self, ListSettings.self,
            Certificates.self,
        ])

    static func main() async {
        StandardStreams.begin()
        await self.main(nil)
    }
}
