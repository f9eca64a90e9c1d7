// SPDX-License-Identifier: Apache-2.0

import Settings
import Yams

/// One key of the file, with its place, line and value.
struct FileEntry {
    /// The key's path in the file, as messages name it: `operations.table.create.start`.
    let place: String
    /// The key.
    let key: String
    /// The line of the key.
    let line: Int
    /// The value of the key.
    let node: Node

    /// Whether the key has no value, or null.
    var isEmpty: Bool { self.node.scalar?.isNothing == true }
}

/// One item of a list of texts.
struct FileText {
    let text: String
    let line: Int
}

/// A problem at a line of the file.
struct FileProblem: Error {
    let line: Int
    let message: String

    init(_ line: Int, _ message: String) {
        self.line = line
        self.message = message
    }

    init(_ entry: FileEntry, _ message: String) { self.init(entry.line, "\(entry.place) \(message)") }
}

/// Reading of the plain values that a key can have. Each method throws ``FileProblem`` for a value of another kind.
extension FileEntry {
    /// Reads one text, with every run of white space as one space.
    func text() throws(FileProblem) -> String {
        try self.checkNode()
        guard let scalar = self.node.scalar, !scalar.isNothing else { throw self.mismatch("a text") }
        let text = scalar.string.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        guard !text.isEmpty else { throw FileProblem(self, "is empty; write a text or remove the key") }
        return text
    }

    /// Reads a list of texts, with their lines.
    func texts() throws(FileProblem) -> [FileText] {
        try self.checkNode()
        guard let sequence = self.node.sequence else { throw self.mismatch("a list, such as [a, b]") }
        var texts: [FileText] = []
        for node in sequence {
            let item = FileEntry(place: self.place, key: self.key, line: node.mark?.line ?? self.line, node: node)
            try item.checkNode()
            guard let scalar = node.scalar, !scalar.isNothing else {
                throw FileProblem(item, "has an item that is not a text; correct or remove it")
            }
            texts.append(FileText(text: scalar.string, line: item.line))
        }
        return texts
    }

    /// Reads `true` or `false`.
    func boolean() throws(FileProblem) -> Bool {
        try self.checkNode()
        switch (self.node.scalar?.style, self.node.scalar?.string) {
        case (.plain?, "true"?): return true
        case (.plain?, "false"?): return false
        default: throw self.mismatch("true or false")
        }
    }

    /// Rejects the parts of YAML that catalogue files may not use.
    func checkNode() throws(FileProblem) {
        guard let part = self.node.unsupportedPart else { return }
        throw FileProblem(self.line, Self.unsupported(part))
    }

    func mismatch(_ expected: String) -> FileProblem {
        FileProblem(
            self, self.isEmpty ? "has no value; it must be \(expected)" : "must be \(expected), not \(self.node.shape)")
    }

    static func unsupported(_ part: String) -> String {
        "catalogue files may not use YAML \(part); write the value out"
    }
}
