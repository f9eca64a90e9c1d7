// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import Notifications

/// The identifier that ties an answer to its request: a string or number that the peer chose, returned unchanged.
package enum RPCID: Sendable, Hashable {
    /// A string.
    case string(String)
    /// A number, in the peer's own spelling.
    case number(JSONNumber)
    /// The id of an answer to a request without a readable id.
    case null

    /// The length, in bytes of UTF-8 without quotes.
    var byteCount: Int {
        switch self {
        case .string(let string): string.utf8.count
        case .number(let number): number.literal.utf8.count
        case .null: 0
        }
    }

    var json: JSONValue {
        switch self {
        case .string(let string): .string(string)
        case .number(let number): .number(number)
        case .null: .null
        }
    }
}

/// The call of a request: its method and parameters.
package enum RPCCall: Sendable, Hashable {
    /// A check that the conductor is alive: `ping`.
    case ping
    /// A report of an outcome to publish: `notify_end` or `notify_exc_info`.
    case notify(OutcomeReport)
}

/// One request line.
package struct RPCRequest: Sendable, Hashable {
    /// The request's id; nil for a JSON-RPC notification, which gets no answer.
    package var id: RPCID?
    /// The call.
    package var call: RPCCall

    /// A request of this id and call.
    package init(id: RPCID?, call: RPCCall) {
        self.id = id
        self.call = call
    }
}

/// A line that is no valid request, and the id of its answer; nil when the line was a JSON-RPC notification.
package struct RPCRequestError: Error, Sendable, Hashable {
    /// The id of the answer.
    package let id: RPCID?
    /// The error.
    package let error: RPCError
}

extension RPCRequest {
    /// Reads a request line.
    ///
    /// - Parameter line: one line, without its end.
    /// - Throws: ``RPCRequestError`` with the id of the answer.
    package init(line: ByteBuffer) throws(RPCRequestError) {
        let value: JSONValue
        do {
            value = try JSONParser.parse(
                line.readableBytesUInt8Span, maximumDepth: RPCProtocol.maximumDepth,
                maximumValues: RPCProtocol.maximumValues)
        } catch {
            throw RPCRequestError(id: .null, error: RPCError(.parse, "The line is not JSON: \(error)."))
        }
        guard case .object(let object) = value else {
            let message = "A request must be a JSON object, not \(value.kind); batches are not taken, send a line each."
            throw RPCRequestError(id: .null, error: RPCError(.invalidRequest, message))
        }
        let id: RPCID?
        switch object["id"] {
        case nil: id = nil
        case .string(let string)?: id = .string(string)
        case .number(let number)?: id = .number(number)
        case .null?: id = .null
        default:
            let error = RPCError(.invalidRequest, "id must be a string or a number.", field: "id")
            throw RPCRequestError(id: .null, error: error)
        }
        guard (id?.byteCount ?? 0) <= RPCProtocol.maximumIDBytes else {
            let message = "id is longer than \(RPCProtocol.maximumIDBytes) bytes."
            throw RPCRequestError(
                id: .null,
                error: RPCError(.invalidRequest, message, field: "id", limitBytes: RPCProtocol.maximumIDBytes))
        }
        guard object["jsonrpc"]?.string?.hasSameBytes(as: RPCProtocol.jsonRPC) == true else {
            let error = RPCError(.invalidRequest, "jsonrpc must be \"\(RPCProtocol.jsonRPC)\".", field: "jsonrpc")
            throw RPCRequestError(id: id ?? .null, error: error)
        }
        guard case .string(let method)? = object["method"] else {
            let error = RPCError(.invalidRequest, "method must be a string.", field: "method")
            throw RPCRequestError(id: id ?? .null, error: error)
        }
        do {
            self.init(id: id, call: try Self.call(method, object["params"]))
        } catch {
            throw RPCRequestError(id: id, error: error)
        }
    }

    /// A bound for the name of a method, in bytes; no method has a longer one. `String.hasSameBytes(as:)` says why a
    /// longer text of a peer must not be compared.
    private static let longestMethod = 32

    private static func call(_ method: String, _ params: JSONValue?) throws(RPCError) -> RPCCall {
        switch method.utf8.count <= Self.longestMethod ? method : "" {
        case "ping": return .ping
        case "notify_exc_info", "notify_end": break
        default:
            throw RPCError(
                .unknownMethod, "There is no such method; there are ping, notify_end and notify_exc_info.",
                field: "method")
        }
        let report: OutcomeReport
        do {
            switch params {
            case .object(let object)?: report = try OutcomeReport(object, path: "params")
            case nil, .null?: throw FieldError(field: "params", problem: "is missing")
            case let other?: throw FieldError(field: "params", problem: "must be an object, not \(other.kind)")
            }
            if method == "notify_end", case .error = report.outcome {
                throw FieldError(field: "params.etype", problem: "has no place in notify_end; call notify_exc_info")
            }
        } catch let error as FieldError {
            throw RPCError(error)
        } catch {
            throw RPCError(.internal, "The parameters could not be read.")
        }
        return .notify(report)
    }

    /// The request as a line, including its end.
    package var line: [UInt8] { Self.line(of: self.json) }

    static func line(of json: JSONObject) -> [UInt8] { JSONWriter.encode(.object(json)) + [UInt8(ascii: "\n")] }

    /// The request as a JSON object.
    var json: JSONObject {
        var object: JSONObject = ["jsonrpc": .string(RPCProtocol.jsonRPC)]
        if let id = self.id { object.append("id", id.json) }
        switch self.call {
        case .ping: object.append("method", "ping")
        case .notify(let report):
            switch report.outcome {
            case .end: object.append("method", "notify_end")
            case .error: object.append("method", "notify_exc_info")
            }
            object.append("params", .object(report.json))
        }
        return object
    }
}
