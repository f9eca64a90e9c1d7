// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import NIOCore
import Notifications

/// Reads messages between guests and conductors; a message that can be read is written, and must be read as the same
/// again.
enum FuzzedMessages {
    static func json(_ bytes: [UInt8]) -> String? {
        guard let value = try? JSONValue(json: bytes) else { return nil }
        guard let again = try? JSONValue(json: JSONWriter.encode(value)) else { return "what was written is not JSON" }
        return again == value ? nil : "what was written is another value"
    }

    static func request(_ bytes: [UInt8]) -> String? {
        guard let request = try? RPCRequest(line: ByteBuffer(bytes: bytes)) else { return nil }
        let line = request.line
        guard line.last == UInt8(ascii: "\n"), !line.dropLast().contains(UInt8(ascii: "\n")) else {
            return "what was written is not one line"
        }
        guard let again = try? RPCRequest(line: ByteBuffer(bytes: line.dropLast())) else {
            return "what was written is no request"
        }
        return again == request ? nil : "what was written is another request"
    }

    static func response(_ bytes: [UInt8]) -> String? {
        guard let response = try? RPCResponse(line: ByteBuffer(bytes: bytes)) else { return nil }
        var writer = JSONWriter()
        response.write(to: &writer)
        guard let again = try? RPCResponse(line: ByteBuffer(bytes: writer.bytes.dropLast())) else {
            return "what was written is no answer"
        }
        return again == response ? nil : "what was written is another answer"
    }

    static func context(_ bytes: [UInt8]) -> String? {
        guard let context = try? NotificationContext.read(json: bytes) else { return nil }
        guard let again = try? NotificationContext(context.json) else { return "what was written is no context" }
        return again == context ? nil : "what was written is another context"
    }

    static func redaction(_ bytes: [UInt8]) -> String? {
        let text = String(decoding: bytes, as: UTF8.self)
        _ = Redaction.standard.redact(text)
        // A secret at a place for secrets is removed, whatever other lines precede it.
        let planted = Redaction.standard.redact("\(text)\n\npassword=qX7zPlantedSecret\n")
        return planted.contains("qX7zPlantedSecret") ? "a password after this text is not redacted" : nil
    }
}
