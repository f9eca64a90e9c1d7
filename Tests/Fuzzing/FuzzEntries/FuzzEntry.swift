// SPDX-License-Identifier: Apache-2.0

/// A place where bytes from untrusted sources enter. The fuzzer passes its inputs to one of them, and the tests pass
/// all files of the entry's corpus.
///
/// Each entry checks more than that nothing crashes: what is read and written again must be read as the same, and what
/// is accepted must be what the documents allow, by rules that the entry implements independently of the code.
package enum FuzzEntry: String, CaseIterable, Sendable {
    /// A stream that is cut into lines.
    case line
    /// JSON text.
    case json
    /// The text of a time.
    case timestamp
    /// A guest's request line.
    case request
    /// A conductor's answer line, as a guest reads it.
    case response
    /// A context: of this project, or Trove's.
    case context
    /// Text that is redacted.
    case redaction
    /// A settings file.
    case settings
    /// A catalogue file.
    case catalogue
    /// A transport URL.
    case transportURL = "transport-url"
    /// The first bytes of a connection, in which its ClientHello ends.
    case hello
    /// Bytes before, during and after a TLS handshake.
    case tls
    /// A signed token of the control plane, as a guest presents it; its claims, and the form of JSON that is signed.
    case token
    /// Keys for the signatures of contexts.
    case keys
    /// Certificates of guests, files of authorities and revocation lists.
    case certificate
    /// An operator's rules about which guest may report what.
    case permissions
    /// A guest's report on its whole way through the conductor.
    case report
    /// The standard error of a command, of which a guest reports the last lines.
    case terminalText = "terminal-text"

    /// Passes the bytes to the code of this entry.
    ///
    /// - Returns: the problem with the result; nil if there is none.
    package func problem(with bytes: [UInt8]) -> String? {
        switch self {
        case .line: FuzzedLines.problem(with: bytes)
        case .json: FuzzedMessages.json(bytes)
        case .timestamp: FuzzedTimestamps.problem(with: bytes)
        case .request: FuzzedMessages.request(bytes)
        case .response: FuzzedMessages.response(bytes)
        case .context: FuzzedMessages.context(bytes)
        case .redaction: FuzzedMessages.redaction(bytes)
        case .settings: FuzzedFiles.settings(bytes)
        case .catalogue: FuzzedFiles.catalogue(bytes)
        case .transportURL: FuzzedFiles.transportURL(bytes)
        case .hello: FuzzedHellos.problem(with: bytes)
        case .tls: FuzzedHandshake.problem(with: bytes)
        case .token: FuzzedTokens.problem(with: bytes)
        case .keys: FuzzedKeys.problem(with: bytes)
        case .certificate: FuzzedCertificates.problem(with: bytes)
        case .permissions: FuzzedPermissions.problem(with: bytes)
        case .report: FuzzedReports.problem(with: bytes)
        case .terminalText: FuzzedTerminalText.problem(with: bytes)
        }
    }
}
