// SPDX-License-Identifier: Apache-2.0

import CommandExecution

/// Takes the last lines of a command's output for a terminal.
enum FuzzedTerminalText {
    static func problem(with bytes: [UInt8]) -> String? {
        var whole = LineTailBuffer(lineLimit: 5, byteLimit: 256)
        whole.append(bytes)
        var cut = LineTailBuffer(lineLimit: 5, byteLimit: 256)
        for byte in bytes { cut.append(CollectionOfOne(byte)) }
        let lines = whole.lines
        guard lines == cut.lines else { return "the lines depend on how the stream was cut" }
        guard lines.count <= 5 else { return "there are more lines than requested" }
        for line in lines {
            let isPlain = line.unicodeScalars.allSatisfy { $0 == "\t" || $0.properties.generalCategory != .control }
            guard isPlain else { return "a control character is left" }
            guard TerminalText.plain(line) == line else { return "plain text is changed" }
        }
        // Whatever other lines precede it.
        whole.append("\n\u{1B}[31mdisk \u{1B}]0;title\u{7}full\u{1B}[0m\n".utf8)
        return whole.lines.last == "disk full" ? nil : "a line after these is not taken as it is"
    }
}
