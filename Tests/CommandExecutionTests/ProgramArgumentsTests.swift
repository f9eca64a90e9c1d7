// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import CommandExecution

@Suite("Program arguments as bytes")
struct ProgramArgumentsTests {
    private let latin: [UInt8] = [0x63, 0xE9]
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("The arguments after the first -- are the command, unchanged")
    func command() {
        let arguments = ["a", "exec", "--", "env", "--", "x"].map(self.bytes) + [self.latin]
        #expect(Array(ProgramArguments.command(arguments)) == ["env", "--", "x"].map(self.bytes) + [self.latin])
        #expect(ProgramArguments.command(["a", "b"].map(self.bytes)).isEmpty)
    }

    @Test("The original bytes of an option's value are found by its decoded text")
    func values() {
        let apart = [self.bytes("a"), self.bytes("--context"), self.latin, self.bytes("--")]
        #expect(ProgramArguments.bytes(of: "c\u{FFFD}", option: "--context", in: apart) == self.latin)
        let joined = [self.bytes("a"), self.bytes("--context=") + self.latin]
        #expect(ProgramArguments.bytes(of: "c\u{FFFD}", option: "--context", in: joined) == self.latin)
        #expect(ProgramArguments.bytes(of: "plain", option: "--context", in: apart) == self.bytes("plain"))
    }

    @Test("Arguments that are not UTF-8 are rejected, except in byte options and in the command")
    func refused() {
        let options = ["--context"]
        let export = [self.bytes("a"), self.bytes("export"), self.latin]
        #expect(ProgramArguments.notText(export, except: options) == "c\u{FFFD}")
        let good = [self.bytes("a"), self.bytes("--context"), self.latin, self.bytes("--"), self.latin]
        #expect(ProgramArguments.notText(good, except: options) == nil)
    }
}
