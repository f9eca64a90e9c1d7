// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ProgramStreams
import Settings

/// `conductor settings`: prints all settings.
struct ListSettings: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings", abstract: "Lists every setting, its kind and its default, as a Markdown table.")

    func run() throws {
        try ConductorExit.mapErrors { try StandardStreams.print(ConductorSettings.schema.documentation() + "\n") }
    }
}
