// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Settings
import StandardIO

/// `guest-agent settings`: prints all settings.
struct ListSettings: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings", abstract: "List every setting with its kind and default as a Markdown table.")

    func run() async throws {
        try await GuestAgentExit.mapErrors {
            try StandardStreams.print(GuestAgentSettings.schema.documentation() + "\n")
        }
    }
}
