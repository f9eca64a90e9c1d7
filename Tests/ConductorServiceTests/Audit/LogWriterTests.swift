// SPDX-License-Identifier: Apache-2.0

import ConductorService
import Foundation
import Glibc
import NIOConcurrencyHelpers
import Testing

/// A log whose reader is slow, or whose file cannot be written.
@Suite(.timeLimit(.minutes(2))) struct LogWriterTests {
    /// A pipe with a capacity of one page.
    private struct SmallPipe {
        let reading: CInt
        let writing: CInt

        init() throws {
            var ends: [CInt] = [0, 0]
            try #require(Glibc.pipe(&ends) == 0)
            (self.reading, self.writing) = (ends[0], ends[1])
            // F_SETPIPE_SZ, which Swift does not import.
            _ = fcntl(self.writing, 1031, 4096)
        }

        /// Reads until the text is complete.
        func read(until isWhole: (String) -> Bool) -> String {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while !isWhole(String(decoding: bytes, as: UTF8.self)) {
                let count = Glibc.read(self.reading, &buffer, buffer.count)
                guard count > 0 else { break }
                bytes += buffer[..<count]
            }
            return String(decoding: bytes, as: UTF8.self)
        }

        func close() {
            Glibc.close(self.reading)
            Glibc.close(self.writing)
        }
    }

    private func writer(_ descriptor: CInt, capacity: Int = 1 << 20) -> LogWriter {
        LogWriter(descriptor: descriptor, capacity: capacity, retryInterval: .milliseconds(10)) { "dropped \($0)\n" }
    }

    private func line(_ number: Int) -> String { "line \(number) " + String(repeating: "x", count: 90) + "\n" }

    @Test("A reader that reads nothing blocks no writer, and dropped lines are counted")
    func stalledReader() async throws {
        let pipe = try SmallPipe()
        defer { pipe.close() }
        let writer = self.writer(pipe.writing, capacity: 64 * 1024)
        let stream = writer.stream(.drop)
        // Several times the capacity of pipe and writer. None of these calls would return if one waited for the reader.
        for number in 1...7000 { stream.write(self.line(number)) }
        // The numbers of dropped and written lines are known once a line that cannot be dropped has arrived.
        DispatchQueue.global().async {
            let waiting = writer.stream(.wait)
            waiting.write("end\n")
        }
        func count(_ text: String) -> (written: [Substring], dropped: Int) {
            let lines = text.split(separator: "\n")
            let dropped = lines.filter { $0.hasPrefix("dropped ") }.compactMap { Int($0.dropFirst(8)) }
            return (lines.filter { $0.hasPrefix("line ") }, dropped.reduce(0, +))
        }
        let text = await Task.detached {
            pipe.read { text in
                let (written, dropped) = count(text)
                return text.hasSuffix("\n") && text.contains("end\n") && written.count + dropped == 7000
            }
        }.value
        let (written, dropped) = count(text)
        #expect(dropped > 3000 && written.count > 30)
        // Whole lines, in order.
        let numbers = written.compactMap { Int($0.split(separator: " ")[1]) }
        #expect(numbers == numbers.sorted() && numbers.first == 1)
        #expect(zip(written, numbers).allSatisfy { $0 == self.line($1).dropLast() })
    }

    @Test("A writer that may wait loses no line")
    func waitingWriter() async throws {
        let pipe = try SmallPipe()
        defer { pipe.close() }
        let writer = self.writer(pipe.writing, capacity: 1024)
        let last = self.line(2000)
        DispatchQueue.global().async {
            let stream = writer.stream(.wait)
            for number in 1...2000 { stream.write(self.line(number)) }
        }
        let text = await Task.detached { pipe.read { $0.hasSuffix(last) } }.value
        #expect(text == (1...2000).map { self.line($0) }.joined())
    }

    @Test("Lines that cannot be written are retried, and no line is split")
    func fullDisk() async throws {
        let pipe = try SmallPipe()
        defer { pipe.close() }
        // A full disk, until the descriptor is replaced.
        let descriptor = open("/dev/full", O_WRONLY | O_CLOEXEC)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let writer = self.writer(descriptor)
        let stream = writer.stream(.drop)
        stream.write("first\n")
        await writer.drain(within: .milliseconds(50))
        stream.write("second\n")
        try #require(dup2(pipe.writing, descriptor) == descriptor)
        await writer.drain(within: .seconds(60))
        stream.write("third\n")
        #expect(await Task.detached { pipe.read { $0.hasSuffix("third\n") } }.value == "first\nsecond\nthird\n")
    }
}
