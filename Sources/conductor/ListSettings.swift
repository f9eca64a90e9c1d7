// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Settings
import StandardIO

/// `conductor settings`: prints all settings.
struct ListSettings: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings", abstract: "List every setting with its kind and default as a Markdown table.")

    func run() throws {
        try ConductorExit.mapErrors { try StandardStreams.print(ConductorSettings.schema.documentation() + "\n") }
    }
}
