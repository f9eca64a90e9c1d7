// SPDX-License-Identifier: Apache-2.0

/// A program's settings, all of them checked.
///
/// A flag wins over the environment, the environment over the file, the file over the default.
///
/// ```swift
/// let settings = try await Settings.load(
///     schema: schema, file: options.config, environment: ProcessInfo.processInfo.environment,
///     overrides: options.overrides)
/// let port = try settings.integer("listen.port")
/// ```
package struct Settings: Sendable {
    /// A value and its origin.
    struct Effective: Sendable {
        var value: Setting.Value
        var origin: String
    }

    /// The program's schema.
    package let schema: SettingsSchema

    private let values: [String: Effective]

    init(schema: SettingsSchema, values: [String: Effective]) {
        self.schema = schema
        self.values = values
    }

    /// Reads and checks all settings; the file is read once, here.
    ///
    /// - Parameters:
    ///   - schema: The program's settings.
    ///   - file: The path of a YAML file, or `nil` for none.
    ///   - environment: The process's environment. Variables without the program's prefix are ignored.
    ///   - overrides: Settings' dotted names with texts from the command line, in order.
    /// - Throws: ``SettingsError`` with every problem found in all sources together.
    package static func load(
        schema: SettingsSchema, file: String?, environment: [String: String],
        overrides: [(name: String, value: String)] = []
    ) async throws(SettingsError) -> Settings {
        var loader = SettingsLoader(schema: schema)
        if let file { loader.readFile(file) }
        loader.readEnvironment(environment)
        loader.readFlags(overrides)
        return try loader.settings()
    }

    /// Returns the settings with a default for a setting that has no value, where that default depends on another
    /// setting.
    ///
    /// - Parameters:
    ///   - name: The setting.
    ///   - value: Its default.
    ///   - reason: The setting and value that the default depends on, for descriptions.
    package func defaulting(_ name: String, to value: Setting.Value, because reason: String) -> Settings {
        guard self.values[name] == nil, self.schema.setting(named: name) != nil else { return self }
        var values = self.values
        values[name] = Effective(value: value, origin: "default, \(reason)")
        return Settings(schema: self.schema, values: values)
    }

    /// Returns whether the setting's value comes from the file of this path.
    package func isSet(_ name: String, inFile path: String) -> Bool {
        self.values[name]?.origin.hasPrefix("\(path):") == true
    }

    /// Returns every setting's effective value and its origin, one a line; secrets are replaced.
    ///
    /// ```
    /// listen.port   = 8790    # default
    /// transport.url = rabbit://user:***@broker/    # conductor.yaml:3
    /// ```
    package func describe() -> String {
        let width = schema.settings.map(\.name.count).max() ?? 0
        return schema.settings.map { setting in
            let name = setting.name + String(repeating: " ", count: width - setting.name.count)
            guard let effective = values[setting.name] else { return "\(name) =    # not set\n" }
            return "\(name) = \(setting.shown(effective.value))    # \(effective.origin)\n"
        }.joined()
    }
}

// MARK: - Typed getters

extension Settings {
    /// Returns the value of a string or a choice.
    package func string(_ name: String) throws(SettingsError) -> String {
        try set(optionalString(name), name)
    }

    /// Returns the value of a string or a choice, or `nil` if it is not set.
    package func optionalString(_ name: String) throws(SettingsError) -> String? {
        switch try value(name) {
        case .string(let text): text
        case nil: nil
        default: throw wrongKind(name, "a string")
        }
    }

    /// Returns the value of an integer.
    package func integer(_ name: String) throws(SettingsError) -> Int {
        try set(optionalInteger(name), name)
    }

    /// Returns the value of an integer, or `nil` if it is not set.
    package func optionalInteger(_ name: String) throws(SettingsError) -> Int? {
        switch try value(name) {
        case .integer(let number): number
        case nil: nil
        default: throw wrongKind(name, "an integer")
        }
    }

    /// Returns the value of a boolean.
    package func boolean(_ name: String) throws(SettingsError) -> Bool {
        switch try value(name) {
        case .boolean(let answer): answer
        case nil: throw unset(name)
        default: throw wrongKind(name, "a boolean")
        }
    }

    /// Returns the value of a list of strings or choices; empty if it is not set.
    package func strings(_ name: String) throws(SettingsError) -> [String] {
        switch try value(name) {
        case .strings(let texts): texts
        case nil: []
        default: throw wrongKind(name, "a list")
        }
    }

    /// Returns the value of a length of time, in seconds.
    package func seconds(_ name: String) throws(SettingsError) -> Double {
        try set(optionalSeconds(name), name)
    }

    /// Returns the value of a length of time in seconds, or `nil` if it is not set.
    package func optionalSeconds(_ name: String) throws(SettingsError) -> Double? {
        switch try value(name) {
        case .seconds(let number): number
        case nil: nil
        default: throw wrongKind(name, "a length of time")
        }
    }

    /// Returns the value of a length of time.
    package func duration(_ name: String) throws(SettingsError) -> Duration {
        .seconds(try seconds(name))
    }

    private func value(_ name: String) throws(SettingsError) -> Setting.Value? {
        guard schema.setting(named: name) != nil else {
            throw SettingsError(
                .init(.wrongGetter, "The program reads \(name), which its schema does not declare; declare it."))
        }
        return values[name]?.value
    }

    private func set<Value>(_ value: Value?, _ name: String) throws(SettingsError) -> Value {
        guard let value else { throw unset(name) }
        return value
    }

    private func unset(_ name: String) -> SettingsError {
        SettingsError(.init(.missingValue, setting: name, "\(name) has no value; set it."))
    }

    private func wrongKind(_ name: String, _ kind: String) -> SettingsError {
        SettingsError(
            .init(.wrongGetter, setting: name, "The program reads \(name) as \(kind), which is not its declared kind."))
    }
}
