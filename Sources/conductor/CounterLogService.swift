// SPDX-License-Identifier: Apache-2.0

import ConductorService
import Logging
import ServiceLifecycle
import UnixSignals

/// A service that logs the counters of the relay and of the connections on SIGUSR1.
///
/// It is a class because a service group logs its services at debug level: of a struct it would log all contents.
final class CounterLogService: Service {
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
