// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import NIOCore
public import Notifications
import TLSChannel

extension GuestAgent {
    /// The configuration of an agent.
    public struct Configuration: Sendable {
        /// The conductors, tried in round robin.
        public var conductors: [ConductorAddress]
        /// The path of a PEM file with the guest's certificate and its chain.
        public var certificateFile: String
        /// The path of a PEM file with the certificate's private key.
        public var keyFile: String
        /// The path of a PEM file with the authorities that conductors' certificates must come from.
        public var caFile: String
        /// The path of a PEM file with the revocation lists of those authorities; nil when conductors are never
        /// revoked. With this file, a conductor is rejected when its issuer has no list in it, or a list past its
        /// nextUpdate.
        public var crlFile: String?
        /// How often those files are checked for changes. New connections use the changed files.
        public var reloadInterval = Duration.seconds(1)
        /// The maximum number of outcomes in flight: half for ends, half for errors, at least one each.
        public var window = 256
        /// The longest request, in bytes. It must not exceed the limit of the conductors. The trace and the text of a
        /// longer error are truncated; an outcome whose fields alone exceed the limit is set aside.
        public var maximumLineLength = RPCProtocol.defaultMaximumLineLength
        /// The time after which an attempt to connect fails.
        public var connectTimeout = Duration(ConductorConnection.Configuration().connectTimeout)
        /// The time without any answer, although outcomes wait for one, after which the connection counts as dead. A
        /// single outcome may wait ten times as long: a conductor reads large outcomes no faster than the guest's rate
        /// limit.
        public var answerTimeout = Duration(ConductorConnection.Configuration().answerTimeout)
        /// The shortest backoff delay after a failure.
        public var minimumBackoff = Duration.milliseconds(200)
        /// The longest backoff delay after failures.
        public var maximumBackoff = Duration.seconds(30)
        /// How long the agent continues to deliver after a graceful shutdown begins.
        public var drainTimeout = Duration.seconds(30)
        /// The redaction of contexts' payloads and of outcomes before they enter the outbox. The payload of a signed
        /// context is not redacted.
        public var redaction = Redaction.standard
        /// How often the outbox is read although nothing arrived: another process may have put an outcome back.
        var pollInterval = Duration.seconds(60)

        /// Creates a configuration with these conductors and files, and defaults for the rest.
        public init(conductors: [ConductorAddress], certificateFile: String, keyFile: String, caFile: String) {
            self.conductors = conductors
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.caFile = caFile
        }

        /// The reason why these values cannot be used, as a sentence; nil when they can.
        var problem: String? {
            if self.window < 1 { return "window must be at least 1." }
            if self.maximumLineLength < 1 { return "maximumLineLength must be at least 1." }
            // Without a delay or a time limit the agent would only connect, again and again.
            if self.minimumBackoff <= .zero { return "minimumBackoff must be longer than zero." }
            if self.maximumBackoff < self.minimumBackoff {
                return "maximumBackoff must not be shorter than minimumBackoff."
            }
            if self.connectTimeout <= .zero { return "connectTimeout must be longer than zero." }
            if self.reloadInterval <= .zero { return "reloadInterval must be longer than zero." }
            if self.answerTimeout <= .zero { return "answerTimeout must be longer than zero." }
            return nil
        }
    }
}

extension TLSConfiguration {
    init(_ configuration: GuestAgent.Configuration) {
        self.init(
            role: .client, certificateChain: .file(configuration.certificateFile),
            privateKey: .file(configuration.keyFile), trustRoots: .file(configuration.caFile),
            revocationLists: configuration.crlFile.map(TLSSource.file),
            applicationProtocols: [RPCProtocol.applicationProtocol])
    }
}
