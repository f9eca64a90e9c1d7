import ArgumentParser
import Foundation
import Settings

/// The options that say how the conductor is configured: a file, and any setting by its own flag.
struct ConfigurationOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("The YAML file to read.", valueName: "file"))
    var config: String?

    @Option(
        name: .long,
        help: ArgumentHelp("A setting that stands above the file and the environment.", valueName: "name=value"))
    var set: [String] = []

    /// The settings: from the flags, else the environment, else the file, else the defaults.
    ///
    /// - Parameter schema: with what the command cannot do without.
    func load(_ schema: SettingsSchema = ConductorSettings.schema) async throws -> Settings {
        try IdentitySettings.completed(
            await Settings.load(
                schema: schema, file: self.config, environment: ProcessInfo.processInfo.environment,
                overrides: try SettingOverrides(self.set).values))
    }
}
