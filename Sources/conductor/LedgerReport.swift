import ConductorService
import Logging
import ServiceLifecycle
import UnixSignals

/// Writes the relay's and the connections' counters into the log when SIGUSR1 asks for them.
///
/// A class, for a service group logs its services at debug level: of a structure it would write out all that is in it.
final class LedgerReport: Service {
    private let relay: Relay
    private let server: ConductorServer
    private let logger: Logger

    init(relay: Relay, server: ConductorServer, logger: Logger) {
        self.relay = relay
        self.server = server
        self.logger = logger
    }

    func run() async throws {
        for await _ in await UnixSignalsSequence(trapping: .sigusr1).cancelOnGracefulShutdown() {
            self.server.connections.log(to: self.logger)
            self.relay.counters.log("Counters", to: self.logger)
        }
    }
}
