import ConductorRPC
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
        /// How many outcomes are in flight at once.
        public var window = 256
        /// The longest request, in bytes; a longer outcome is set aside.
        public var maximumLineLength = RPCProtocol.defaultMaximumLineLength
        /// How long to wait for a connection.
        public var connectTimeout = Duration.seconds(10)
        /// How long an outcome may be unanswered before the connection counts as dead.
        public var answerTimeout = Duration.seconds(60)
        /// The shortest pause after a failure.
        public var minimumBackoff = Duration.milliseconds(200)
        /// The longest pause after failures.
        public var maximumBackoff = Duration.seconds(30)
        /// How long to go on delivering once the agent is asked to stop.
        public var drainTimeout = Duration.seconds(30)

        /// The defaults, for these conductors and files.
        public init(conductors: [ConductorAddress], certificateFile: String, keyFile: String, caFile: String) {
            self.conductors = conductors
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.caFile = caFile
        }
    }
}

extension TLSConfiguration {
    init(_ configuration: GuestAgent.Configuration) {
        self.init(
            role: .client, certificateChain: .file(configuration.certificateFile),
            privateKey: .file(configuration.keyFile), trustRoots: .file(configuration.caFile))
    }
}
