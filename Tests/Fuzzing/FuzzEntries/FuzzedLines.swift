// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import NIOCore

/// Splits a stream into lines: in one piece, and in pieces of the lengths in its first two bytes, with the same result.
enum FuzzedLines {
    static func problem(with bytes: [UInt8]) -> String? {
        guard bytes.count > 2 else { return nil }
        let limit = Int(bytes[0])
        let piece = Int(bytes[1] % 31) + 1
        let stream = bytes.dropFirst(2)

        var whole = LineSplitter(maximumLength: limit)
        whole.append(ByteBuffer(bytes: stream))
        let expected = self.frames(&whole)

        var splitter = LineSplitter(maximumLength: limit)
        var frames: [LineSplitter.Frame] = []
        var rest = stream
        while !rest.isEmpty {
            splitter.append(ByteBuffer(bytes: rest.prefix(piece)))
            rest = rest.dropFirst(piece)
            frames += self.frames(&splitter)
            if splitter.bufferedBytes > limit {
                return "\(splitter.bufferedBytes) bytes are kept, past the limit \(limit)"
            }
        }
        if frames != expected { return "pieces of \(piece) bytes give other lines than the whole" }
        for case .line(let line) in frames where line.readableBytes > limit { return "a line is longer than the limit" }
        return nil
    }

    private static func frames(_ splitter: inout LineSplitter) -> [LineSplitter.Frame] {
        var frames: [LineSplitter.Frame] = []
        while let frame = splitter.next() { frames.append(frame) }
        return frames
    }
}
