// SPDX-License-Identifier: Apache-2.0

import Configuration

/// A source of values for swift-configuration's reader, with the source's name for each setting.
struct SettingsSource: Sendable {
    /// The provider that the reader reads.
    let provider: any ConfigProvider

    /// Returns the source's name for a setting: `flag --set listen.port`.
    let origin: @Sendable (Setting) -> String

    /// Returns whether the source has a value for the setting.
    func hasValue(for setting: Setting) -> Bool {
        let key = AbsoluteConfigKey(setting.path)
        let result = try? provider.value(forKey: key, type: setting.configType)
        return result?.value != nil
    }

    /// Creates a source of values that are already checked.
    static func checked(
        _ name: String, _ values: [String: Setting.Value], schema: SettingsSchema,
        origin: @escaping @Sendable (Setting) -> String
    ) -> SettingsSource {
        var contents: [AbsoluteConfigKey: ConfigValue] = [:]
        for setting in schema.settings {
            guard let value = values[setting.name] else { continue }
            contents[AbsoluteConfigKey(setting.path)] = ConfigValue(value.content, isSecret: setting.isSecret)
        }
        return SettingsSource(provider: InMemoryProvider(name: name, values: contents), origin: origin)
    }

    /// Creates a source of the environment variables that belong to the program.
    static func environment(_ variables: [String: String], schema: SettingsSchema) -> SettingsSource {
        let secrets = schema.settings.filter(\.isSecret).map(schema.environmentVariable)
        let provider = EnvironmentVariablesProvider(
            environmentVariables: variables, secretsSpecifier: .specific(Set(secrets)))
        return SettingsSource(
            provider: provider.prefixKeys(with: ConfigKey([schema.environmentPrefix.lowercased()])),
            origin: { "environment \(schema.environmentVariable(for: $0))" })
    }
}

extension Setting {
    /// The setting's type in swift-configuration.
    var configType: ConfigType {
        switch kind {
        case .string, .choice: .string
        case .integer: .int
        case .boolean: .bool
        case .strings, .choices: .stringArray
        case .seconds: .double
        }
    }

    /// Reads the setting. Throws for a missing value, and for a value of another type.
    ///
    /// The reader's methods that return a default hide a malformed value, so they are not used here.
    func requiredValue(from reader: ConfigReader) throws -> Value {
        let key = ConfigKey(path)
        return switch kind {
        case .string, .choice: .string(try reader.requiredString(forKey: key, isSecret: isSecret))
        case .integer: .integer(try reader.requiredInt(forKey: key, isSecret: isSecret))
        case .boolean: .boolean(try reader.requiredBool(forKey: key, isSecret: isSecret))
        case .strings, .choices: .strings(try reader.requiredStringArray(forKey: key, isSecret: isSecret))
        case .seconds: .seconds(try reader.requiredDouble(forKey: key, isSecret: isSecret))
        }
    }
}

extension Setting.Value {
    fileprivate var content: ConfigContent {
        switch self {
        case .string(let text): .string(text)
        case .integer(let number): .int(number)
        case .boolean(let answer): .bool(answer)
        case .strings(let texts): .stringArray(texts)
        case .seconds(let number): .double(number)
        }
    }
}
