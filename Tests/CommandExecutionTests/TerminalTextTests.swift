// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import CommandExecution

@Suite("Plain text of terminal output")
struct TerminalTextTests {
    @Test(
        "Control sequences are removed",
        arguments: [
            ("\u{1B}[31mERROR\u{1B}[0m: disk full", "ERROR: disk full"), ("\u{1B}[1;38:2::255:0:0mred\u{1B}[m", "red"),
            ("\u{1B}]0;title\u{07}text", "text"), ("\u{1B}]8;;http://a/\u{1B}\\link\u{1B}]8;;\u{1B}\\", "link"),
            ("\u{1B}(Btext\u{1B}7\u{1B}M", "text"), ("\u{1B}P1$r\u{1B}\\text", "text"), ("\u{9B}2Ktext", "text"),
            ("\u{9D}0;title\u{9C}text", "text"), ("a\u{1B}[?25lb\u{1B}[2 qc", "abc"),
            // A sequence that is cut off hides nothing.
            ("text\u{1B}[", "text"), ("text\u{1B}", "text"), ("\u{1B}]no end", "no end"),
            ("\u{1B}[31\u{E9}t\u{E9}", "\u{E9}t\u{E9}"),
        ])
    func sequences(_ line: String, _ plain: String) {
        #expect(TerminalText.plain(line) == plain)
    }

    @Test("Other control characters are replaced, except tabs")
    func controls() {
        #expect(TerminalText.plain("a\u{0}b\u{8}c\u{7F}d\u{85}e\tf") == "a\u{FFFD}b\u{FFFD}c\u{FFFD}d\u{FFFD}e\tf")
        #expect(TerminalText.plain("größe 表 👩‍👩‍👧") == "größe 表 👩‍👩‍👧")
    }

    @Test("A long line of unterminated strings is processed within the time limit", .timeLimit(.minutes(1)))
    func hostile() {
        let line = String(repeating: "\u{1B}]", count: 200_000)
        #expect(TerminalText.plain(line).isEmpty)
    }

    @Test("The last lines have no escape sequences, and lines of nothing else are dropped")
    func lastLines() {
        var lines = LineTailBuffer(lineLimit: 3, byteLimit: 64)
        lines.append(Array(repeating: UInt8(ascii: "x"), count: 1000))
        lines.append(Array("\none\r\n\u{1B}[0m\n\u{1B}[33mtwo\u{1B}[0m\n".utf8))
        lines.append([0xFF, 0x0A])
        #expect(lines.lines == ["two", "\u{FFFD}"])
    }
}
