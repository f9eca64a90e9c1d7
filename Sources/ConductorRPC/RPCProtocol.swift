/// The fixed facts of the wire (Docs/protocol.md).
package enum RPCProtocol {
    /// The protocol's name in TLS's ALPN.
    package static let applicationProtocol = "conductor-rpc/1"
    /// The port that a conductor listens on unless told otherwise.
    package static let defaultPort = 8790
    /// The longest line taken by default, in bytes without its end.
    package static let defaultMaximumLineLength = 1 << 20
    /// How deep the JSON of a line may nest.
    package static let maximumDepth = 32
    /// How many values a request may have, at whatever depth. What a line of a million brackets takes to read, other guests
    /// would wait for.
    package static let maximumValues = 16_384
    /// The longest id of a request, in bytes of UTF-8. An id is kept while its request is in flight, and comes back with the
    /// answer.
    package static let maximumIDBytes = 256
    /// The version of this release: `ping` answers it, and both programs print it for `--version`.
    package static let version = "0.1.0"
}
