// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import NIOCore
import Testing

@Suite struct LineSplitterTests {
    private func frames(_ chunks: [String], limit: Int = 10) -> [String] {
        var splitter = LineSplitter(maximumLength: limit)
        var frames: [String] = []
        for chunk in chunks {
            splitter.append(ByteBuffer(string: chunk))
            while let frame = splitter.next() {
                switch frame {
                case .line(let line): frames.append(String(buffer: line))
                case .tooLong: frames.append("<too long>")
                }
            }
        }
        return frames
    }

    @Test("The lines are the same wherever the chunks end")
    func chunkBoundaries() {
        let stream = "one\ntwo\n\nthree\n"
        for length in 1...stream.count {
            let characters = Array(stream)
            let chunks = stride(from: 0, to: characters.count, by: length).map {
                String(characters[$0..<min($0 + length, characters.count)])
            }
            #expect(self.frames(chunks) == ["one", "two", "", "three"])
        }
    }

    @Test("A line of the maximum length passes, and one that is a byte longer does not")
    func lengthLimit() {
        #expect(self.frames(["0123456789\n01234567890\nok\n"]) == ["0123456789", "<too long>", "ok"])
        #expect(self.frames(["0123456789", "\n"]) == ["0123456789"])
    }

    @Test("An endless line is reported once and skipped")
    func endlessLine() {
        let endless = Array(repeating: "xxxxxxxx", count: 1000)
        #expect(self.frames(endless) == ["<too long>"])
        #expect(self.frames(endless + ["x\nok\n"]) == ["<too long>", "ok"])
        var splitter = LineSplitter(maximumLength: 10)
        for chunk in endless {
            splitter.append(ByteBuffer(string: chunk))
            while splitter.next() != nil {}
            #expect(splitter.bufferedBytes <= 10)
        }
    }

    @Test("The splitter knows whether a line has begun and how many have ended")
    func lineState() {
        var splitter = LineSplitter(maximumLength: 4)
        func take(_ chunk: String) -> (isInLine: Bool, ended: Int) {
            splitter.append(ByteBuffer(string: chunk))
            while splitter.next() != nil {}
            return (splitter.isInLine, splitter.endedLines)
        }
        #expect(take("ab") == (true, 0))
        #expect(take("c\n") == (false, 1))
        #expect(take("\n\nx") == (true, 3))
        #expect(take("yyyyyyyy") == (true, 3))
        #expect(take("zz") == (true, 3))
        #expect(take("zz\n") == (false, 4))
        #expect(take("123456789\n") == (false, 5))
    }
}
