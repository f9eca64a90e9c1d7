// SPDX-License-Identifier: Apache-2.0

/// Settings given as `name=value` on a command line.
package struct SettingOverrides: Sendable {
    /// Each setting's dotted name and its text.
    package let values: [(name: String, value: String)]

    /// - Parameter assignments: `name=value` each; the value may hold further equals signs.
    /// - Throws: ``SettingsError`` for an assignment without an equals sign or without a name.
    package init(_ assignments: [String]) throws(SettingsError) {
        var values: [(name: String, value: String)] = []
        for assignment in assignments {
            guard let equals = assignment.firstIndex(of: "="), equals > assignment.startIndex else {
                throw SettingsError(
                    .init(.malformedValue, "--set takes name=value, such as --set log.level=debug."))
            }
            values.append(
                (String(assignment[..<equals]), String(assignment[assignment.index(after: equals)...])))
        }
        self.values = values
    }
}
