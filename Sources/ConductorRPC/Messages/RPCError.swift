// SPDX-License-Identifier: Apache-2.0

package import Notifications

/// An error in a conductor's answer (Docs/protocol.md lists them all).
package struct RPCError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A kind of error: the JSON-RPC code, the reason for programs, and whether a retry can succeed.
    package struct Code: Sendable, Hashable {
        /// The JSON-RPC error code.
        package let number: Int
        /// The stable word in `data.reason`.
        package let reason: String
        /// Whether the same request can succeed later.
        package let isRetryable: Bool

        /// A code of these values.
        package init(number: Int, reason: String, isRetryable: Bool) {
            self.number = number
            self.reason = reason
            self.isRetryable = isRetryable
        }

        /// The line is not JSON.
        package static let parse = Code(number: -32700, reason: "parse_error", isRetryable: false)
        /// The line is JSON but not a JSON-RPC 2.0 request.
        package static let invalidRequest = Code(number: -32600, reason: "invalid_request", isRetryable: false)
        /// There is no such method.
        package static let unknownMethod = Code(number: -32601, reason: "unknown_method", isRetryable: false)
        /// A parameter is missing or mistyped; `data.field` names it.
        package static let invalidParameters = Code(number: -32602, reason: "invalid_params", isRetryable: false)
        /// An unforeseen failure of the conductor.
        package static let `internal` = Code(number: -32603, reason: "internal_error", isRetryable: true)
        /// The peer did not prove its identity. It may succeed with another certificate, or at a conductor with another
        /// configuration.
        package static let unauthenticated = Code(number: -32001, reason: "unauthenticated", isRetryable: true)
        /// The peer is not permitted to report this.
        package static let notPermitted = Code(number: -32002, reason: "not_permitted", isRetryable: false)
        /// The catalogue has no such operation.
        package static let unknownEvent = Code(number: -32003, reason: "unknown_event", isRetryable: false)
        /// The line, or the message made of it, is too large; `data.limit_bytes` has the limit.
        package static let tooLarge = Code(number: -32004, reason: "too_large", isRetryable: false)
        /// The peer exceeded its rate limit or another limit, or its connection is closed so that others are served.
        package static let rateLimited = Code(number: -32005, reason: "rate_limited", isRetryable: true)
        /// The broker did not confirm the message.
        package static let brokerUnavailable = Code(number: -32006, reason: "broker_unavailable", isRetryable: true)
        /// A line did not end in time.
        package static let tooSlow = Code(number: -32007, reason: "too_slow", isRetryable: true)

        /// Every code, for the protocol's document and its test.
        package static let all: [Code] = [
            .parse, .invalidRequest, .unknownMethod, .invalidParameters, .internal, .unauthenticated, .notPermitted,
            .unknownEvent, .tooLarge, .rateLimited, .brokerUnavailable, .tooSlow,
        ]
    }

    /// The kind of error.
    package var code: Code
    /// A description for people.
    package var message: String
    /// The path of the field that is wrong, such as `params.context.tenant_id`.
    package var field: String?
    /// The time after which the same request is worth sending again, in milliseconds.
    package var retryAfterMilliseconds: Int?
    /// The largest size accepted, in bytes.
    package var limitBytes: Int?

    /// An error of this kind.
    package init(
        _ code: Code, _ message: String, field: String? = nil, retryAfterMilliseconds: Int? = nil,
        limitBytes: Int? = nil
    ) {
        self.code = code
        self.message = message
        self.field = field
        self.retryAfterMilliseconds = retryAfterMilliseconds
        self.limitBytes = limitBytes
    }

    /// An error for a parameter that is missing or mistyped.
    package init(_ error: FieldError) { self.init(.invalidParameters, error.description, field: error.field) }

    /// The message and the reason.
    package var description: String { "\(self.message) (\(self.code.reason))" }
}

extension RPCError {
    /// Limits for the text of a peer, in Unicode scalars.
    private static let longestMessage = 4096
    private static let longestWord = 256

    /// The JSON-RPC error object.
    var json: JSONObject {
        var data = JSONObject()
        data.append("reason", .string(self.code.reason))
        data.append("retryable", .bool(self.code.isRetryable))
        if let retryAfterMilliseconds {
            data.append("retry_after_ms", .number(JSONNumber(retryAfterMilliseconds)))
        }
        if let field { data.append("field", .string(field)) }
        if let limitBytes { data.append("limit_bytes", .number(JSONNumber(limitBytes))) }
        return [
            "code": .number(JSONNumber(self.code.number)), "message": .string(self.message), "data": .object(data),
        ]
    }

    /// Reads a JSON-RPC error object. A code that this version does not know keeps its reason and retryability, so that
    /// an older guest obeys a newer conductor.
    ///
    /// The text comes from the peer and goes into logs, spools and terminals. So it is turned into one line here, where
    /// it enters.
    init(_ object: JSONObject) throws(FieldError) {
        let fields = JSONFields(object, path: "error")
        guard let number = object["code"]?.integer else { throw fields.error("code", "must be a whole number") }
        let data = JSONFields(try fields.optionalObject("data") ?? JSONObject(), path: "error.data")
        let reason = (try data.optionalString("reason") ?? "unknown").oneLine(limit: Self.longestWord)
        let message = try fields.optionalString("message")?.oneLine(limit: Self.longestMessage)
        self.init(
            Code(number: number, reason: reason, isRetryable: data.value("retryable") == true), message ?? reason,
            field: try data.optionalString("field")?.oneLine(limit: Self.longestWord),
            retryAfterMilliseconds: data.value("retry_after_ms")?.integer,
            limitBytes: data.value("limit_bytes")?.integer)
    }
}
