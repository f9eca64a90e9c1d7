// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import Notifications

/// The result of a reported outcome.
package enum Disposition: String, Sendable, Hashable {
    /// The broker confirmed every message of it.
    case published
    /// A message with this id had been confirmed before.
    case duplicate
    /// The outcome was valid but is not published: the conductor's operator has switched its event off.
    case disabled
}

/// A conductor's answer without an error.
package enum RPCReply: Sendable, Hashable {
    /// The answer to `ping`: the conductor's version.
    case pong(version: String)
    /// The answer to `notify_end` and `notify_exc_info`.
    case accepted(MessageID, Disposition)
}

/// A conductor's answer: a reply or an error.
package typealias RPCResult = Result<RPCReply, RPCError>

/// One answer line.
package struct RPCResponse: Sendable, Hashable {
    /// The request's id; null where it could not be read.
    package var id: RPCID
    /// The answer.
    package var result: RPCResult

    /// An answer to the request with this id.
    package init(id: RPCID, result: RPCResult) {
        self.id = id
        self.result = result
    }

    /// Appends the answer as a line, including its end.
    package func write(to writer: inout JSONWriter) {
        writer.writeObject {
            $0.writeMember("jsonrpc", RPCProtocol.jsonRPC)
            $0.writeName("id")
            $0.write(self.id.json)
            switch self.result {
            case .success(.pong(let version)):
                $0.writeName("result")
                $0.writeObject { $0.writeMember("version", version) }
            case .success(.accepted(let messageID, let disposition)):
                // Written member by member, without building an object: this is the answer to nearly every request.
                $0.writeName("result")
                $0.writeObject {
                    $0.writeMember("message_id", messageID.description)
                    $0.writeMember("disposition", disposition.rawValue)
                }
            case .failure(let error):
                $0.writeName("error")
                $0.write(error.json)
            }
        }
        writer.raw("\n")
    }

    /// Reads an answer line.
    ///
    /// - Throws: ``JSONError`` or ``FieldError`` when the line is not an answer of this protocol.
    package init(line: ByteBuffer) throws {
        let value = try JSONParser.parse(
            line.readableBytesUInt8Span, maximumDepth: RPCProtocol.maximumDepth)
        guard case .object(let object) = value else {
            throw FieldError(field: "response", problem: "must be an object, not \(value.kind)")
        }
        switch object["id"] {
        case .string(let string)?: self.id = .string(string)
        case .number(let number)?: self.id = .number(number)
        case nil, .null?: self.id = .null
        default: throw FieldError(field: "id", problem: "must be a string or a number")
        }
        let fields = JSONFields(object)
        if let error = try fields.optionalObject("error") {
            self.result = .failure(try RPCError(error))
            return
        }
        let result = JSONFields(try fields.object("result"), path: "result")
        if let version = try result.optionalString("version") {
            self.result = .success(.pong(version: version))
            return
        }
        guard let messageID = MessageID(try result.string("message_id")) else {
            throw result.error("message_id", "must be a UUID")
        }
        guard let disposition = Disposition(rawValue: try result.string("disposition")) else {
            throw result.error("disposition", "must be published, duplicate or disabled")
        }
        self.result = .success(.accepted(messageID, disposition))
    }
}
