// SPDX-License-Identifier: Apache-2.0

import Foundation
package import Yams

/// A YAML file that an operator wrote, parsed into a tree. The file is read once, and its size is limited.
package struct YAMLDocument {
    /// The purpose of a file, in the words of its errors.
    package struct Purpose: Sendable {
        /// The kind of file: `settings`.
        package let kind: String
        /// The contents of its top level: `sections and settings, such as "listen:"`.
        package let contents: String

        /// - Parameters:
        ///   - kind: the kind of file, in one word.
        ///   - contents: the contents of its top level, in a few words.
        package init(kind: String, contents: String) {
            self.kind = kind
            self.contents = contents
        }

        static let settings = Purpose(kind: "settings", contents: "sections and settings, such as \"listen:\",")
    }

    /// The largest file accepted, in bytes. A real one has a few kilobytes.
    package static let sizeLimit = 1 << 20

    /// The largest number of aliases that reaches the YAML parser. Our files need none; see ``checkAliases(in:)``.
    static let aliasLimit = 16

    /// The path as the operator gave it.
    package let path: String

    /// The top-level mapping; `nil` if the file holds nothing but comments.
    package let root: Node.Mapping?

    private let purpose: Purpose

    // Nodes hold their anchors weakly. The parser keeps the anchors alive, so that they can be checked.
    private let parser: Parser?

    /// Reads and parses the file.
    ///
    /// - Throws: ``SettingsError``, whose one problem names the file, the line where it is known, and what is wrong.
    package init(path: String, purpose: Purpose) throws(SettingsError) {
        self.path = path
        self.purpose = purpose
        let bytes = try Self.read(path, purpose)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            let line = 1 + bytes.prefix(Self.lengthOfValidUTF8(bytes)).count { $0 == UInt8(ascii: "\n") }
            throw Self.notYAML(path, purpose, line, "is not UTF-8 text; save it as UTF-8")
        }
        try Self.checkAliases(in: text, path, purpose)
        do {
            // The basic resolver has no rules. Rules would resolve tags by regular expressions, which is not needed
            // here.
            let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
            self.parser = parser
            switch try parser.singleRoot() {
            case .mapping(let mapping): root = mapping
            case .scalar(let scalar) where scalar.isNothing: root = nil
            case nil: root = nil
            case .some(let node):
                throw Self.notYAML(path, purpose, node.mark?.line, "must hold \(purpose.contents) at the top level")
            }
        } catch let error as SettingsError {
            throw error
        } catch {
            throw Self.settingsError(for: error, path, purpose)
        }
    }

    // MARK: - Reading

    private static func read(_ path: String, _ purpose: Purpose) throws(SettingsError) -> [UInt8] {
        func unreadable(_ what: String) -> SettingsError {
            SettingsError(.init(.unreadableFile, "The \(purpose.kind) file \(path) \(what)."))
        }
        let resolved = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        do {
            // Checked before opening, because opening a named pipe waits for a writer.
            switch try FileManager.default.attributesOfItem(atPath: resolved)[.type] as? FileAttributeType {
            case .typeRegular: break
            case .typeDirectory: throw unreadable("is a directory; give the path of a file")
            default: throw unreadable("is not a regular file; give the path of a file")
            }
            let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: resolved))
            defer { try? handle.close() }
            let data = try handle.read(upToCount: sizeLimit + 1) ?? Data()
            guard data.count <= sizeLimit else {
                throw unreadable("is larger than \(sizeLimit) bytes; check that it is the right file")
            }
            // An editor may have put a byte order mark before the text, which the YAML parser would read as a part of
            // the text.
            let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
            return Array(data.dropFirst(data.starts(with: mark) ? mark.count : 0))
        } catch let error as SettingsError {
            throw error
        } catch {
            throw unreadable("\(ReadFailure(error, path: path))")
        }
    }

    private static func lengthOfValidUTF8(_ bytes: [UInt8]) -> Int {
        var (valid, end) = (0, bytes.count)
        // Bisection over prefixes; a cut inside a character moves the answer by at most three bytes, and never by a
        // line.
        while valid < end {
            let middle = (valid + end + 1) / 2
            let isValid = (0...3).contains { middle >= $0 && isUTF8(bytes.prefix(middle - $0)) }
            if isValid { valid = middle } else { end = middle - 1 }
        }
        return valid
    }

    private static func isUTF8(_ bytes: ArraySlice<UInt8>) -> Bool {
        String(validating: bytes, as: UTF8.self) != nil
    }

    // MARK: - Parsing

    // Aliases of aliases make a tree exponentially larger than its text, and Yams hashes a whole tree when it is a key.
    // Anchors and aliases are rejected in any case, but can be detected only once Yams is done; sixteen of them cannot
    // do harm yet.
    private static func checkAliases(
        in text: String, _ path: String, _ purpose: Purpose
    ) throws(SettingsError) {
        var count = 0
        var line = 1
        var isComment = false
        var isTokenStart = true
        var isStar = false
        for byte in text.utf8 {
            let isSpace = byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
            let isBreak = byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r")
            if isBreak { isComment = false }
            if isStar, !isComment, !isSpace, !isBreak { count += 1 }
            guard count <= aliasLimit else {
                throw SettingsError(
                    .init(
                        .unsupportedYAML, line: line,
                        "\(path):\(line): \(purpose.kind) files may not use YAML aliases; write each value out."))
            }
            isStar = isTokenStart && byte == UInt8(ascii: "*")
            if isTokenStart, byte == UInt8(ascii: "#") { isComment = true }
            isTokenStart = isSpace || isBreak || "[]{},:?-".utf8.contains(byte)
            if byte == UInt8(ascii: "\n") { line += 1 }
        }
    }

    private static func settingsError(for error: any Error, _ path: String, _ purpose: Purpose) -> SettingsError {
        // Only these parts of a YamlError are shown: its description quotes the file, including secrets.
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return notYAML(path, purpose, mark.line, "is not valid YAML: \(problem)")
        case .reader(let problem, let offset, _, let yaml):
            let line = offset.map { 1 + yaml.prefix($0).count(where: \.isNewline) }
            return notYAML(path, purpose, line, "is not valid YAML: \(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            let names = duplicates.map(Self.shownKey).joined(separator: ", ")
            return SettingsError(
                .init(
                    .duplicateName, line: context.mark.line,
                    "\(path):\(context.mark.line): \(names) appears more than once in the same section; keep one."))
        default:
            return notYAML(path, purpose, nil, "is not valid YAML; check it with a YAML tool")
        }
    }

    private static func notYAML(
        _ path: String, _ purpose: Purpose, _ line: Int?, _ what: String
    ) -> SettingsError {
        let place = line.map { "\(path):\($0)" } ?? path
        return SettingsError(.init(.notYAML, line: line, "\(place): the \(purpose.kind) file \(what)."))
    }

    // MARK: - Words

    /// Returns the key if it could be a mistyped name, and a placeholder otherwise: any other key may be a misplaced
    /// secret.
    package static func shownKey(_ key: String) -> String {
        let isName = key.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || "0123456789_-.".utf8.contains(byte)
        }
        return isName && (1...64).contains(key.utf8.count) ? key : "a key that could not be a name"
    }
}

extension Node {
    /// The YAML feature that the node uses and our files may not, in an error's words: anchors, aliases, tags. `nil` if
    /// there is none.
    package var unsupportedPart: String? {
        if self.anchor != nil { return "anchors (&) and aliases (*)" }
        let tag: Tag? =
            switch self {
            case .scalar(let scalar): scalar.tag
            case .mapping(let mapping): mapping.tag
            case .sequence(let sequence): sequence.tag
            case .alias: nil
            }
        // Quoted text and hashed nodes have the plain tags, although the file does not contain these tags.
        let plain = ["", "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"]
        return tag.map { plain.contains($0.description) ? nil : "tags (!)" } ?? nil
    }

    /// The node's shape, in an error's words.
    package var shape: String {
        switch self {
        case .mapping: "a section"
        case .sequence: "a list"
        case .scalar, .alias: "a single value"
        }
    }
}

extension Node.Scalar {
    /// Whether the scalar is YAML's null: nothing at all, `~` or `null`, without quotes.
    package var isNothing: Bool {
        style == .plain && ["", "~", "null", "Null", "NULL"].contains(string)
    }
}
