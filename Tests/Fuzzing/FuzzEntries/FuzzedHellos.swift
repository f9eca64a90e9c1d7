// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import NIOCore

/// Finds the end of a ClientHello in pieces of the length in the first byte, and by an independent reading of the
/// whole.
enum FuzzedHellos {
    static func problem(with bytes: [UInt8]) -> String? {
        guard bytes.count > 1 else { return nil }
        let piece = Int(bytes[0] % 31) + 1
        let stream = Array(bytes.dropFirst())
        var scanner = ClientHelloStateMachine()
        var read = 0
        while read < stream.count, !scanner.isComplete {
            let end = min(read + piece, stream.count)
            scanner.append(ByteBuffer(bytes: stream[read..<end]).readableBytesView)
            read = end
            // Reading once more has the same result.
            scanner.append(ByteBuffer().readableBytesView)
            if scanner.isComplete != self.isComplete(Array(stream.prefix(read))) {
                return "after \(read) bytes in pieces of \(piece) it is\(scanner.isComplete ? "" : " not") complete"
            }
        }
        return nil
    }

    private static func isComplete(_ bytes: [UInt8]) -> Bool {
        var message: [UInt8] = []
        var start = 0
        while start < bytes.count {
            let record = bytes[start...]
            guard bytes[start] == 22, record.count < 2 || bytes[start + 1] == 3 else { return true }
            guard record.count >= 5 else { break }
            let length = Int(bytes[start + 3]) * 256 + Int(bytes[start + 4])
            guard length > 0 else { return true }
            message += record.dropFirst(5).prefix(length)
            start += 5 + length
            // The bytes after the message are not checked.
            if self.isWhole(message) { return true }
        }
        return self.isWhole(message) || bytes.count > 2 * ClientHelloStateMachine.longestHello
    }

    private static func isWhole(_ message: [UInt8]) -> Bool {
        guard let kind = message.first else { return false }
        guard kind == 1 else { return true }
        guard message.count >= 4 else { return false }
        let length = Int(message[1]) * 65536 + Int(message[2]) * 256 + Int(message[3])
        return length > ClientHelloStateMachine.longestHello || message.count >= length + 4
    }
}
