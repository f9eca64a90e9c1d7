// SPDX-License-Identifier: Apache-2.0

import Configuration

/// A collector of values and problems from every source. Nothing is decided before all sources are read.
struct SettingsLoader {
    private let schema: SettingsSchema
    private var problems: [SettingsError.Problem] = []
    private var flags: [String: Setting.Value] = [:]
    private var environment: [String: String] = [:]
    private var file: [String: SettingsFile.Entry] = [:]
    private var filePath = ""
    // Without the file's values, missing settings cannot be determined.
    private var isFileRead = true

    /// Creates a loader that has read no source yet.
    init(schema: SettingsSchema) {
        self.schema = schema
    }

    /// Adds the file's values.
    mutating func readFile(_ path: String) {
        filePath = path
        do throws(SettingsError) {
            let checked = SettingsFile(try YAMLDocument(path: path, purpose: .settings), schema: schema)
            file = checked.entries
            problems += checked.problems
        } catch {
            isFileRead = false
            problems += error.problems
        }
    }

    /// Adds the variables that start with the program's prefix, except those that Kubernetes sets and those that the
    /// schema ignores.
    mutating func readEnvironment(_ variables: [String: String]) {
        let pairs = schema.settings.map { (schema.environmentVariable(for: $0), $0) }
        let settings = Dictionary(pairs) { first, _ in first }
        let own = variables.filter { name, value in
            name.hasPrefix(schema.environmentPrefix + "_") && !schema.ignoresEnvironmentVariable(name)
                && !KubernetesServiceVariable.isOne(name, value: value)
        }
        for (name, text) in own.sorted(by: { $0.key < $1.key }) {
            guard let setting = settings[name] else {
                let hint = SpellingSuggestion.hint(for: name, among: settings.keys.sorted())
                problems.append(
                    .init(
                        .unknownName,
                        "The environment variable \(YAMLDocument.shownKey(name)) sets no setting; "
                            + "unset or correct it\(hint)."))
                continue
            }
            if value(of: text, for: setting, from: "the environment variable \(name)") != nil {
                environment[name] = text
            }
        }
    }

    /// Adds values from the command line. A list grows when its setting is given again; any other setting may be given
    /// once.
    mutating func readFlags(_ overrides: [(name: String, value: String)]) {
        for (name, text) in overrides {
            guard let setting = schema.setting(named: name) else {
                let hint = SpellingSuggestion.hint(for: name, among: schema.settings.map(\.name))
                problems.append(
                    .init(
                        .unknownName,
                        "The command line sets \(YAMLDocument.shownKey(name)), which is no setting; correct it\(hint)."
                    ))
                continue
            }
            guard !setting.isSecret else {
                problems.append(secretOnCommandLine(setting))
                continue
            }
            guard let value = value(of: text, for: setting, from: "the flag \(setting.flag)") else { continue }
            switch (flags[name], value) {
            case (.strings(let earlier), .strings(let items)): flags[name] = .strings(earlier + items)
            case (nil, _): flags[name] = value
            default:
                problems.append(
                    .init(
                        .duplicateName, setting: name,
                        "The flag \(setting.flag) is given more than once; give it once."))
            }
        }
    }

    /// Returns the settings, or throws every problem found.
    mutating func settings() throws(SettingsError) -> Settings {
        let sources = self.sources
        let reader = ConfigReader(providers: sources.map(\.provider))
        var values: [String: Settings.Effective] = [:]
        for setting in schema.settings {
            guard let source = sources.first(where: { $0.hasValue(for: setting) }) else {
                if setting.isRequired, isFileRead, !problems.contains(where: { $0.setting == setting.name }) {
                    problems.append(missing(setting))
                }
                continue
            }
            do {
                values[setting.name] = .init(
                    value: try setting.requiredValue(from: reader), origin: source.origin(setting))
            } catch {
                // Every source was checked by stricter rules. The error is not shown, because it may quote the value.
                problems.append(
                    .init(.malformedValue, setting: setting.name, "\(setting.name) cannot be read; correct its value."))
            }
        }
        guard let first = problems.first else { return Settings(schema: schema, values: values) }
        throw SettingsError(first, problems.dropFirst())
    }

    // The highest precedence comes first.
    private var sources: [SettingsSource] {
        let lines = file.mapValues(\.line)
        let path = filePath
        let defaults = Dictionary(
            schema.settings.compactMap { setting in setting.defaultValue.map { (setting.name, $0) } }
        ) { first, _ in first }
        return [
            .checked("flags", flags, schema: schema) { "flag \($0.flag)" },
            .environment(environment, schema: schema),
            .checked("file", file.mapValues(\.value), schema: schema) { "\(path):\(lines[$0.name] ?? 0)" },
            .checked("defaults", defaults, schema: schema) { _ in "default" },
        ]
    }

    private mutating func value(of text: String, for setting: Setting, from place: String) -> Setting.Value? {
        do throws(SettingParser.Rejection) {
            return try SettingParser(kind: setting.kind).value(of: text)
        } catch {
            let (code, message) = error.problem
            problems.append(.init(code, setting: setting.name, "\(setting.name), set by \(place), \(message)."))
            return nil
        }
    }

    private func missing(_ setting: Setting) -> SettingsError.Problem {
        let variable = "the environment variable \(schema.environmentVariable(for: setting))"
        let sources =
            setting.isSecret
            ? "in the file or by \(variable)" : "in the file, by \(variable) or by the flag \(setting.usage)"
        return .init(
            .missingValue, setting: setting.name, "\(setting.name) is required and has no value; set it \(sources).")
    }

    private func secretOnCommandLine(_ setting: Setting) -> SettingsError.Problem {
        .init(
            .secretOnCommandLine, setting: setting.name,
            "\(setting.name) is a secret, and every user of this machine can read a command line; set it in the file or "
                + "by the environment variable \(schema.environmentVariable(for: setting)).")
    }
}
