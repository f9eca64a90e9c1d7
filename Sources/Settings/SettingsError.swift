// SPDX-License-Identifier: Apache-2.0

/// An error for settings that could not be loaded or read. It holds every problem found, not only the first.
///
/// No message contains a value, because a value in the wrong place may be a secret.
package struct SettingsError: Error, Sendable {
    /// The kind of a problem.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The code's name.
        package let description: String

        /// The file does not exist, or cannot be opened or read.
        package static let unreadableFile = Code(description: "unreadableFile")
        /// The file is not UTF-8 or not one YAML document that is a mapping.
        package static let notYAML = Code(description: "notYAML")
        /// The file uses a part of YAML that settings do not need: anchors, aliases, merge keys, tags.
        package static let unsupportedYAML = Code(description: "unsupportedYAML")
        /// A key, an environment variable or a flag names no setting.
        package static let unknownName = Code(description: "unknownName")
        /// A key appears twice in one mapping, or a flag was given twice.
        package static let duplicateName = Code(description: "duplicateName")
        /// The value has the wrong shape: a list, a section or nothing where something else belongs.
        package static let wrongShape = Code(description: "wrongShape")
        /// The value cannot be understood.
        package static let malformedValue = Code(description: "malformedValue")
        /// The value is understood but outside what is allowed.
        package static let valueOutOfRange = Code(description: "valueOutOfRange")
        /// A required setting has no value.
        package static let missingValue = Code(description: "missingValue")
        /// A secret is on the command line, which every user of the machine can read.
        package static let secretOnCommandLine = Code(description: "secretOnCommandLine")
        /// The program read a setting that its schema does not declare, or read it as another kind than declared.
        package static let wrongGetter = Code(description: "wrongGetter")
    }

    /// A problem in the settings.
    package struct Problem: Sendable, Equatable, CustomStringConvertible {
        /// The problem's kind.
        package let code: Code
        /// The setting concerned, if it is known.
        package let setting: String?
        /// The line of the file, if the problem is in the file and the line is known.
        package let line: Int?
        /// One sentence: what happened, to which setting, and what to do.
        package let message: String

        /// The message.
        package var description: String { message }

        init(_ code: Code, setting: String? = nil, line: Int? = nil, _ message: String) {
            self.code = code
            self.setting = setting
            self.line = line
            self.message = message
        }
    }

    /// All problems, in the order: file, environment, flags, missing settings. Never empty.
    package let problems: [Problem]

    /// The code of the first problem.
    package let code: Code

    init(_ first: Problem, _ rest: some Sequence<Problem> = []) {
        problems = [first] + rest
        code = first.code
    }
}

extension SettingsError: CustomStringConvertible {
    /// The messages, one a line.
    package var description: String {
        problems.map(\.message).joined(separator: "\n")
    }
}
