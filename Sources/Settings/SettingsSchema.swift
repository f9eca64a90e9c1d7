// SPDX-License-Identifier: Apache-2.0

/// All settings of one program, in the order in which descriptions list them.
package struct SettingsSchema: Sendable {
    /// The prefix of the program's environment variables, without the last underscore: `CONDUCTOR`.
    package let environmentPrefix: String

    /// The settings.
    package let settings: [Setting]

    /// Environment variables that start with the prefix and are not settings of this program. A name that ends in `_`
    /// means all variables that start with it: `CONDUCTOR_TEST_`.
    package let ignoredEnvironment: [String]

    private let settingsByName: [String: Setting]
    private let sections: Set<String>

    /// Creates a schema. A name declared twice is a defect; see ``defects()``.
    package init(environmentPrefix: String, settings: [Setting], ignoredEnvironment: [String] = []) {
        self.environmentPrefix = environmentPrefix
        self.settings = settings
        self.ignoredEnvironment = ignoredEnvironment
        settingsByName = Dictionary(settings.map { ($0.name, $0) }) { first, _ in first }
        sections = Set(
            settings.flatMap { setting in
                let path = setting.path
                return (1..<max(1, path.count)).map { path.prefix($0).joined(separator: ".") }
            })
    }

    /// Returns the same settings for a command that needs less: of the required settings, only the named ones stay
    /// required.
    package func requiring(only names: Set<String>) -> SettingsSchema {
        SettingsSchema(
            environmentPrefix: self.environmentPrefix,
            settings: self.settings.map { setting in
                Setting(
                    name: setting.name, kind: setting.kind, defaultValue: setting.defaultValue,
                    isRequired: setting.isRequired && names.contains(setting.name), secrecy: setting.secrecy,
                    help: setting.help, valueName: setting.valueName)
            }, ignoredEnvironment: self.ignoredEnvironment)
    }

    /// Returns the setting of that name.
    package func setting(named name: String) -> Setting? {
        settingsByName[name]
    }

    /// Returns the environment variable that sets the setting: `CONDUCTOR_TLS_GUEST_CA` for `tls.guest_ca`.
    package func environmentVariable(for setting: Setting) -> String {
        environmentPrefix + "_" + setting.path.joined(separator: "_").uppercased()
    }

    /// Returns whether the name is a section's: some setting's name starts with it and a dot.
    func isSection(_ name: String) -> Bool {
        sections.contains(name)
    }

    /// Every name that may appear in the file: of settings, then of sections.
    var knownNames: [String] {
        settings.map(\.name) + sections.sorted()
    }

    /// Returns whether the variable is one of ``ignoredEnvironment``.
    func ignoresEnvironmentVariable(_ variable: String) -> Bool {
        ignoredEnvironment.contains { $0.hasSuffix("_") ? variable.hasPrefix($0) : variable == $0 }
    }

    /// Returns the defects of the schema itself, one sentence each. A program's tests should find none.
    package func defects() -> [String] {
        var defects: [String] = []
        var owners: [String: String] = [:]
        for setting in settings {
            let variable = environmentVariable(for: setting)
            if let owner = owners.updateValue(setting.name, forKey: variable) {
                defects.append("\(owner) and \(setting.name) share the variable \(variable).")
            }
            let isName = setting.path.allSatisfy { segment in
                segment.utf8.allSatisfy { "abcdefghijklmnopqrstuvwxyz0123456789_".utf8.contains($0) }
            }
            if !isName || setting.path.joined(separator: ".") != setting.name || setting.path.isEmpty {
                defects.append("\(setting.name) is not made of snake_case segments and dots.")
            }
            if isSection(setting.name) {
                defects.append("\(setting.name) is a setting and a section of others.")
            }
            if let value = setting.defaultValue {
                if setting.isRequired {
                    defects.append("\(setting.name) is required and has a default.")
                }
                if (try? SettingParser(kind: setting.kind).checked(value)) == nil {
                    defects.append("The default of \(setting.name) is not allowed by its kind.")
                }
            }
        }
        return defects
    }

    /// Returns a Markdown table of the settings, for the operator's manual.
    package func documentation() -> String {
        let rows = settings.map { setting in
            let value = SettingParser(kind: setting.kind).expectation
            let fallback =
                setting.defaultValue.map { "`\(setting.shown($0))`" } ?? (setting.isRequired ? "required" : "not set")
            let cells = [
                "`\(setting.name)`", "`\(environmentVariable(for: setting))`", value, fallback,
                setting.help + (setting.isSecret ? " Secret." : ""),
            ]
            return "| " + cells.map(Self.escaped).joined(separator: " | ") + " |"
        }
        let head = ["| Setting | Environment variable | Value | Default | Meaning |", "|---|---|---|---|---|"]
        return (head + rows).joined(separator: "\n") + "\n"
    }

    private static func escaped(_ cell: String) -> String {
        cell.map { $0 == "|" ? "\\|" : $0.isNewline ? " " : String($0) }.joined()
    }
}
