// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import Logging
import NIOConcurrencyHelpers
import NIOCore

/// The rate limit for new connections of each address, for all event loops of a server.
final class AddressRateLimiter: Sendable {
    private struct State {
        var stateMachine: AddressRateLimitStateMachine
        var rejected = 0
    }

    private let rates: AddressRateLimitStateMachine.Rates
    private let state: NIOLockedValueBox<State>
    private let notice: RateLimitedWarning

    /// - Parameters:
    ///   - rates: the rates of each address.
    ///   - logger: logs rejected connections, one line a minute.
    init(_ rates: AddressRateLimitStateMachine.Rates, logger: Logger) {
        self.rates = rates
        self.state = NIOLockedValueBox(State(stateMachine: AddressRateLimitStateMachine(rates)))
        self.notice = RateLimitedWarning(
            """
            Closed connections before their handshake: their address connects more often than \
            limits.connections_per_second and limits.connections_burst allow
            """, logger: logger)
    }

    /// The number of rejected connections.
    var rejected: Int { self.state.withLockedValue { $0.rejected } }

    /// Counts a new connection against the rate limit. Called on the connection's event loop.
    ///
    /// - Parameters:
    ///   - network: the network whose rate is limited.
    ///   - address: the address that is logged.
    /// - Returns: whether the connection is admitted.
    func admits(_ network: NetworkAddress, _ address: SocketAddress, on eventLoop: any EventLoop) -> Bool {
        let isAdmitted = self.state.withLockedValue { state in
            let isAdmitted = state.stateMachine.take(network, now: eventLoop.now)
            if !isAdmitted { state.rejected += 1 }
            return isAdmitted
        }
        guard !isAdmitted else { return true }
        self.notice.record(
            on: eventLoop,
            metadata: [
                "peer": "\(address.hostAndPort ?? "unknown")",
                "limits.connections_per_second": "\(self.rates.perSecond)",
                "limits.connections_burst": "\(self.rates.burst)",
            ])
        return false
    }
}
