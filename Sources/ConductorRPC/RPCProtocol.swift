// SPDX-License-Identifier: Apache-2.0

/// The constants of the wire protocol (Docs/protocol.md).
package enum RPCProtocol {
    /// The protocol's name in TLS ALPN.
    package static let applicationProtocol = "conductor-rpc/1"
    /// The version of JSON-RPC, in each message.
    static var jsonRPC: String { "2.0" }
    /// The default port of a conductor.
    package static let defaultPort = 8790
    /// The default limit for a line, in bytes without its end.
    package static let defaultMaximumLineLength = 1 << 20
    /// The maximum nesting depth of a line's JSON.
    package static let maximumDepth = 32
    /// The maximum number of JSON values in a request, at any depth. While a line of a million brackets were parsed,
    /// other guests would wait.
    package static let maximumValues = 16_384
    /// The longest id of a request, in bytes of UTF-8. An id is stored while its request is in flight, and returns with
    /// the answer.
    package static let maximumIDBytes = 256
    /// The version of this release: the answer to `ping`, and what both programs print for `--version`.
    package static let version = "0.1.0"
}
