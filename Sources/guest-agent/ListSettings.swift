// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ProgramStreams
import Settings

/// `guest-agent settings`: prints all settings.
struct ListSettings: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings", abstract: "Lists every setting, its kind and its default, as a Markdown table.")

    func run() async throws {
        try await GuestAgentExit.mapErrors {
            try StandardStreams.print(GuestAgentSettings.schema.documentation() + "\n")
        }
    }
}
