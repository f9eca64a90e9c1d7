// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ConductorRPC

/// The guest agent as a program: for guests whose work is commands rather than Swift.
struct GuestAgentProgram: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "guest-agent",
        abstract: "Report to the control plane how operations in this guest end.",
        version: RPCProtocol.version,
        subcommands: [Exec.self, Status.self, Flush.self, SpoolCommand.self, ListSettings.self])
}
