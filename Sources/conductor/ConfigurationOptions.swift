// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Settings

/// The options that configure the conductor: a settings file, and `--set` for single settings.
struct ConfigurationOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("Read settings from this YAML file.", valueName: "file"))
    var config: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Set a setting; overrides the file and the environment.", valueName: "name=value"))
    var set: [String] = []

    /// Returns the settings. The value of each comes from the flags, else the environment, else the file, else the
    /// defaults.
    ///
    /// - Parameter schema: the schema, which says which settings the command requires.
    func load(_ schema: SettingsSchema = ConductorSettings.schema) async throws -> Settings {
        try IdentitySettings.completed(
            await Settings.load(
                schema: schema, file: self.config, environment: ProcessInfo.processInfo.environment,
                overrides: try SettingOverrides(self.set).values))
    }
}
