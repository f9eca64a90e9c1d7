// SPDX-License-Identifier: Apache-2.0

import Yams

/// The values in a settings file, checked against the schema.
struct SettingsFile {
    /// A value and the line of its key.
    struct Entry: Equatable {
        var value: Setting.Value
        var line: Int
    }

    /// The values, by setting name.
    private(set) var entries: [String: Entry] = [:]

    /// The problems in the file, in the order of its lines.
    private(set) var problems: [SettingsError.Problem] = []

    private let schema: SettingsSchema
    private let path: String

    /// Checks the document.
    init(_ document: YAMLDocument, schema: SettingsSchema) {
        self.schema = schema
        path = document.path
        guard let root = document.root else { return }
        if let unsupported = Node.mapping(root).unsupportedPart {
            reject(.unsupportedYAML, root.mark?.line ?? 1, unsupported)
        }
        check(root, in: [])
    }

    // Goes no deeper than the schema's sections do, whatever the depth of the file.
    private mutating func check(_ mapping: Node.Mapping, in section: [String]) {
        for (key, value) in mapping {
            let line = key.mark?.line ?? value.mark?.line ?? 1
            guard let segment = key.scalar?.string, !segment.isEmpty else {
                reject(.wrongShape, line, "\(Self.place(section)) has a key that is not a name; give a setting's name")
                continue
            }
            if let unsupported = key.unsupportedPart ?? (segment == "<<" ? "merge keys (<<)" : nil) {
                reject(.unsupportedYAML, line, unsupported)
                continue
            }
            let path = section + [segment]
            let name = path.joined(separator: ".")
            if segment.contains(".") {
                rejectDotted(name, line)
            } else if let setting = schema.setting(named: name) {
                checkValue(value, of: setting, line)
            } else if schema.isSection(name) {
                checkSection(value, path, line)
            } else {
                let hint = SpellingSuggestion.hint(for: name, among: schema.knownNames)
                reject(.unknownName, line, "\(YAMLDocument.shownKey(name)) is no setting; remove or correct it\(hint)")
            }
        }
    }

    private mutating func rejectDotted(_ name: String, _ line: Int) {
        guard let setting = schema.setting(named: name) else {
            let hint = SpellingSuggestion.hint(for: name, among: schema.knownNames)
            reject(.unknownName, line, "\(YAMLDocument.shownKey(name)) is no setting; remove or correct it\(hint)")
            return
        }
        let braces = String(repeating: " }", count: setting.path.count - 1)
        let nested = setting.path.joined(separator: ": { ") + ": …" + braces
        reject(.wrongShape, line, "\(name) is written with dots; write it nested, as in \(nested)", setting: name)
    }

    private mutating func checkSection(_ value: Node, _ path: [String], _ line: Int) {
        if let unsupported = value.unsupportedPart {
            reject(.unsupportedYAML, line, unsupported)
        } else if let mapping = value.mapping {
            check(mapping, in: path)
        } else if value.scalar?.isNothing != true {
            // A section whose settings are all commented out has no value, and is valid.
            let name = path.joined(separator: ".")
            reject(.wrongShape, line, "\(name) is a section; put its settings under it, indented")
        }
    }

    private mutating func checkValue(_ node: Node, of setting: Setting, _ line: Int) {
        let text = SettingParser(kind: setting.kind)
        let name = setting.name
        if let unsupported = node.unsupportedPart {
            return reject(.unsupportedYAML, line, unsupported, setting: name)
        }
        do throws(SettingParser.Rejection) {
            switch node {
            case .scalar(let scalar) where scalar.isNothing:
                reject(.wrongShape, line, "\(name) has no value; give it one or remove the line", setting: name)
            case .scalar(let scalar) where !text.isList:
                entries[name] = Entry(value: try text.value(of: scalar.string), line: line)
            case .sequence(let sequence) where text.isList:
                guard let items = items(of: sequence, name) else { return }
                entries[name] = Entry(value: try text.value(ofItems: items), line: line)
            case .scalar, .sequence, .mapping, .alias:
                let hint = text.isList ? ", written as [a, b] or as lines that start with \"- \"" : ""
                reject(
                    .wrongShape, line, "\(name) must be \(text.expectation)\(hint), not \(node.shape)",
                    setting: name)
            }
        } catch {
            let (code, message) = error.problem
            reject(code, line, "\(name) \(message)", setting: name)
        }
    }

    private mutating func items(of sequence: Node.Sequence, _ name: String) -> [String]? {
        var items: [String] = []
        for node in sequence {
            let line = node.mark?.line ?? sequence.mark?.line ?? 1
            if let unsupported = node.unsupportedPart {
                reject(.unsupportedYAML, line, unsupported, setting: name)
                return nil
            }
            guard let scalar = node.scalar, !scalar.isNothing else {
                reject(.wrongShape, line, "\(name) has an item that is not a text; correct or remove it", setting: name)
                return nil
            }
            items.append(scalar.string)
        }
        return items
    }

    private mutating func reject(
        _ code: SettingsError.Code, _ line: Int, _ message: String, setting: String? = nil
    ) {
        let message =
            code == .unsupportedYAML ? "settings files may not use YAML \(message); write the value out" : message
        problems.append(.init(code, setting: setting, line: line, "\(path):\(line): \(message)."))
    }

    private static func place(_ section: [String]) -> String {
        section.isEmpty ? "The top level" : section.joined(separator: ".")
    }
}

extension SettingParser.Rejection {
    /// The refusal as a problem's code and the words that follow the name.
    var problem: (code: SettingsError.Code, message: String) {
        switch self {
        case .malformed(let message): (.malformedValue, message)
        case .outOfRange(let message): (.valueOutOfRange, message)
        }
    }
}
