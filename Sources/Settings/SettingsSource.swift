import Configuration

/// One place values come from, as swift-configuration's reader sees it, and how to name that place for one setting.
struct SettingsSource: Sendable {
    /// What the reader reads.
    let provider: any ConfigProvider

    /// Names the place for a setting: `flag --listen-port`.
    let origin: @Sendable (Setting) -> String

    /// Whether the source has a value for the setting.
    func hasValue(for setting: Setting) -> Bool {
        let key = AbsoluteConfigKey(setting.path)
        let result = try? provider.value(forKey: key, type: setting.configType)
        return result?.value != nil
    }

    /// A source of values already checked.
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

    /// The environment, as far as it belongs to the program.
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
    /// The type the setting has for swift-configuration.
    var configType: ConfigType {
        switch kind {
        case .string, .choice: .string
        case .integer: .int
        case .boolean: .bool
        case .strings, .choices: .stringArray
        case .seconds: .double
        }
    }

    /// Reads the setting; a missing value throws, and so does one of another type.
    ///
    /// The variants that return a default hide a malformed value behind it, so they are not used here.
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
