import ConductorRPC
public import Notifications
import TLSSocket

extension GuestAgent {
    /// What an agent needs to know.
    public struct Configuration: Sendable {
        /// The conductors, tried in turn.
        public var conductors: [ConductorAddress]
        /// The guest's certificate with its chain: a PEM file.
        public var certificateFile: String
        /// The certificate's private key: a PEM file.
        public var keyFile: String
        /// The authorities that a conductor's certificate must come from: a PEM file.
        public var caFile: String
        /// The revocation lists of those authorities: a PEM file; nil when conductors are never revoked. With one, a conductor
        /// is refused whose issuer has no list in it, or one past its nextUpdate.
        public var crlFile: String?
        /// How often those files are looked at; what has changed is used for the next connection.
        public var reloadInterval = Duration.seconds(1)
        /// How many outcomes are in flight at once: half for ends, half for errors, at least one each.
        public var window = 256
        /// The longest request, in bytes, which must not be more than the conductors take. The trace and the text of a
        /// longer error are cut; an outcome that is longer for its fields alone is set aside.
        public var maximumLineLength = RPCProtocol.defaultMaximumLineLength
        /// How long to wait for a connection.
        public var connectTimeout = Duration.seconds(10)
        /// How long outcomes may wait while no answer arrives at all before the connection counts as dead. A single outcome
        /// may wait ten times as long: a conductor reads large outcomes no faster than the guest's rate.
        public var answerTimeout = Duration.seconds(60)
        /// The shortest pause after a failure.
        public var minimumBackoff = Duration.milliseconds(200)
        /// The longest pause after failures.
        public var maximumBackoff = Duration.seconds(30)
        /// How long to go on delivering once the agent is asked to stop.
        public var drainTimeout = Duration.seconds(30)
        /// What is taken out of contexts' payloads and of outcomes before they enter the outbox.
        public var redaction = Redaction.standard
        /// How often the outbox is looked at though nothing arrived: another process may have put an outcome back.
        var lookInterval = Duration.seconds(60)

        /// The defaults, for these conductors and files.
        public init(conductors: [ConductorAddress], certificateFile: String, keyFile: String, caFile: String) {
            self.conductors = conductors
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.caFile = caFile
        }

        /// What makes these values unusable, in a sentence; nil when nothing does.
        var problem: String? {
            if self.window < 1 { return "window must be at least 1." }
            if self.maximumLineLength < 1 { return "maximumLineLength must be at least 1." }
            // Without a pause or a deadline the agent would do nothing but connect.
            if self.minimumBackoff <= .zero { return "minimumBackoff must be longer than nothing." }
            if self.maximumBackoff < self.minimumBackoff { return "maximumBackoff must not be below minimumBackoff." }
            if self.connectTimeout <= .zero { return "connectTimeout must be longer than nothing." }
            if self.reloadInterval <= .zero { return "reloadInterval must be longer than nothing." }
            if self.answerTimeout <= .zero { return "answerTimeout must be longer than nothing." }
            return nil
        }
    }
}

extension TLSConfiguration {
    init(_ configuration: GuestAgent.Configuration) {
        self.init(
            role: .client, certificateChain: .file(configuration.certificateFile),
            privateKey: .file(configuration.keyFile), trustRoots: .file(configuration.caFile),
            revocationLists: configuration.crlFile.map(TLSSource.file))
    }
}
