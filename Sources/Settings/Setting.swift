// SPDX-License-Identifier: Apache-2.0

/// A setting that an operator can give a value: its name, the kind of its values, and its default.
///
/// The functions named after the kinds create settings, so that a default always fits its kind:
///
/// ```swift
/// Setting.integer("listen.port", 1...65535, default: 8790, help: "TCP port guests connect to.")
/// Setting.secret("transport.url", redact: { _ in "rabbit://***" }, required: true, help: "The broker's URL.")
/// ```
package struct Setting: Sendable {
    /// The kind of a setting's values.
    package enum Kind: Sendable, Equatable {
        /// Text that is not empty.
        case string
        /// A whole number in the range.
        case integer(ClosedRange<Int>)
        /// `true` or `false`.
        case boolean
        /// Any number of texts, none of them empty. In the environment and in flags: at least one, separated by commas.
        case strings
        /// A length of time, as a number of seconds in the range; fractions are allowed.
        case seconds(ClosedRange<Double>)
        /// One of the named values.
        case choice([String])
        /// Any number of the named values, written as ``strings`` are.
        case choices([String])
    }

    /// A value that fits a kind.
    package enum Value: Sendable, Equatable {
        /// The value of a string or of a choice.
        case string(String)
        /// The value of an integer.
        case integer(Int)
        /// The value of a boolean.
        case boolean(Bool)
        /// The value of a list of strings or of choices.
        case strings([String])
        /// The value of a length of time.
        case seconds(Double)
    }

    /// The secrecy of a setting's value.
    package enum Secrecy: Sendable {
        /// Anyone may see the value; descriptions show it.
        case open
        /// The value is secret; descriptions show `***`.
        case hidden
        /// A part of the value is secret; descriptions show what the function leaves of it.
        case redacted(@Sendable (String) -> String)
    }

    /// The dotted name, for example `tls.guest_ca`, which is also the setting's place in the file.
    package let name: String
    /// The kind of the setting's values.
    package let kind: Kind
    /// The value when no source sets one. A setting without a default is required or stays unset.
    package let defaultValue: Value?
    /// Whether the program needs a value to start.
    package let isRequired: Bool
    /// The secrecy of the value.
    package let secrecy: Secrecy
    /// One line for the operator: what the setting does.
    package let help: String
    /// The placeholder for the value in a hint; nil for the kind's own placeholder.
    package var valueName: String?

    /// Whether the value must stay out of logs, errors and descriptions.
    package var isSecret: Bool {
        if case .open = secrecy { false } else { true }
    }

    /// The name's segments, as they nest in the file.
    package var path: [String] {
        name.split(separator: ".").map(String.init)
    }

    /// The command line option that sets this setting, without its value: `--set tls.guest_ca`.
    package var flag: String { "--set \(self.name)" }

    /// The command line option with a placeholder or an example as its value: `--set tls.guest_ca=FILE`.
    package var usage: String { "\(self.flag)=\(self.valueName ?? self.kind.placeholder)" }

    /// Returns the value as an operator may see it: secrets replaced, odd characters quoted.
    func shown(_ value: Value) -> String {
        switch (secrecy, value) {
        case (.open, _): value.description
        case (.redacted(let redact), .string(let text)): Value.string(redact(text)).description
        case (.hidden, _), (.redacted, _): "***"
        }
    }
}

// MARK: - One function for each kind

extension Setting {
    /// Creates a setting whose value is a text.
    package static func string(
        _ name: String, default value: String? = nil, required: Bool = false, valueName: String? = nil, help: String
    ) -> Setting {
        Setting(
            name: name, kind: .string, defaultValue: value.map(Value.string), isRequired: required, secrecy: .open,
            help: help, valueName: valueName)
    }

    /// Creates a setting whose value is a secret text. Descriptions show what `redact` leaves of it, or `***` without
    /// `redact`.
    package static func secret(
        _ name: String, redact: (@Sendable (String) -> String)? = nil, required: Bool = false, help: String
    ) -> Setting {
        Setting(
            name: name, kind: .string, defaultValue: nil, isRequired: required,
            secrecy: redact.map(Secrecy.redacted) ?? .hidden, help: help)
    }

    /// Creates a setting whose value is a whole number in the range.
    package static func integer(
        _ name: String, _ range: ClosedRange<Int>, default value: Int? = nil, required: Bool = false, help: String
    ) -> Setting {
        Setting(
            name: name, kind: .integer(range), defaultValue: value.map(Value.integer), isRequired: required,
            secrecy: .open, help: help)
    }

    /// Creates a setting whose value is true or false.
    package static func boolean(
        _ name: String, default value: Bool? = nil, required: Bool = false, help: String
    ) -> Setting {
        Setting(
            name: name, kind: .boolean, defaultValue: value.map(Value.boolean), isRequired: required, secrecy: .open,
            help: help)
    }

    /// Creates a setting whose value is a list of texts.
    package static func strings(
        _ name: String, default value: [String]? = nil, required: Bool = false, valueName: String? = nil, help: String
    ) -> Setting {
        Setting(
            name: name, kind: .strings, defaultValue: value.map(Value.strings), isRequired: required, secrecy: .open,
            help: help, valueName: valueName)
    }

    /// Creates a setting whose value is a length of time in seconds, in the range.
    package static func seconds(
        _ name: String, _ range: ClosedRange<Double>, default value: Double? = nil, required: Bool = false,
        help: String
    ) -> Setting {
        Setting(
            name: name, kind: .seconds(range), defaultValue: value.map(Value.seconds), isRequired: required,
            secrecy: .open, help: help)
    }

    /// Creates a setting whose value is a length of time in seconds, in the range, with the default of a library.
    package static func seconds(
        _ name: String, _ range: ClosedRange<Double>, default value: Duration, help: String
    ) -> Setting {
        .seconds(name, range, default: value / .seconds(1), help: help)
    }

    /// Creates a setting whose value is one of the named values.
    package static func choice(
        _ name: String, among choices: [String], default value: String? = nil, required: Bool = false, help: String
    ) -> Setting {
        Setting(
            name: name, kind: .choice(choices), defaultValue: value.map(Value.string), isRequired: required,
            secrecy: .open, help: help)
    }

    /// Creates a setting whose value is a list of the named values.
    package static func choices(
        _ name: String, among choices: [String], default value: [String]? = nil, required: Bool = false,
        valueName: String? = nil, help: String
    ) -> Setting {
        Setting(
            name: name, kind: .choices(choices), defaultValue: value.map(Value.strings), isRequired: required,
            secrecy: .open, help: help, valueName: valueName)
    }
}

// MARK: - Descriptions

extension Setting.Kind {
    /// The placeholder for a value in a hint; for booleans and choices, a valid value as an example.
    fileprivate var placeholder: String {
        switch self {
        case .string, .strings: "TEXT"
        case .integer: "NUMBER"
        case .boolean: "true"
        case .seconds: "SECONDS"
        case .choice(let choices), .choices(let choices): choices.first ?? "VALUE"
        }
    }
}

extension Setting.Value: CustomStringConvertible {
    /// The value as it is written in the file. A secret is not replaced: show it through its setting only.
    package var description: String {
        switch self {
        case .string(let text): Self.quotedIfNeeded(text)
        case .integer(let number): String(number)
        case .boolean(let answer): String(answer)
        case .strings(let texts): "[" + texts.map(Self.quotedIfNeeded).joined(separator: ", ") + "]"
        case .seconds(let number): Int(exactly: number).map(String.init) ?? String(number)
        }
    }

    private static func quotedIfNeeded(_ text: String) -> String {
        let plain = text.unicodeScalars.allSatisfy { scalar in
            scalar.properties.isAlphabetic || "0123456789-_./:@*+=?&%~".unicodeScalars.contains(scalar)
        }
        return plain && !text.isEmpty ? text : text.debugDescription
    }
}
