// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC
package import Logging
import NIOConcurrencyHelpers
package import NIOCore

/// The admission of guests' connections. It also enforces the rate limits of each guest, and of each tenant's guests
/// together.
package final class GuestAdmission: RPCAdmission {
    /// The time in milliseconds after which a guest with too many connections should retry, as its answer says.
    static let retryAfterMilliseconds = 10_000

    private struct State {
        var guestConnections: GuestConnectionsStateMachine<GuestRateLimiters>
        /// The tenants that have a guest in the register.
        var tenants: [String: TenantRateLimiter] = [:]
        var connections: [GuestConnectionsStateMachine<GuestRateLimiters>.ConnectionID: ConnectionRateLimiter] = [:]
        var rejected = 0
        var displaced = 0
    }

    private let limits: ConnectionLimits
    private let state: NIOLockedValueBox<State>
    private let tooManyOfGuest: RateLimitedWarning
    private let tooManyOfOwner: RateLimitedWarning
    private let full: RateLimitedWarning

    /// - Parameters:
    ///   - limits: the limits on connections and on guests' rates.
    ///   - logger: logs connections that are rejected or closed, one line a minute.
    package init(_ limits: ConnectionLimits, logger: Logger) {
        self.limits = limits
        let rates = limits.rates
        // After this time, a guest whose token buckets are not in debt has its whole burst again.
        let seconds = max(
            Double(rates.requestsBurst) / Double(max(rates.requestsPerSecond, 1)),
            Double(rates.bytesBurst) / Double(max(rates.bytesPerSecond, 1)))
        self.state = NIOLockedValueBox(
            State(
                guestConnections: GuestConnectionsStateMachine(
                    .init(
                        connections: limits.connections, connectionsPerGuest: limits.connectionsPerGuest,
                        connectionsPerOwner: limits.connectionsPerOwner),
                    retention: TimeAmount(.seconds(min(max(seconds, 1), 3600))))))
        self.tooManyOfGuest = RateLimitedWarning(
            "Rejected connections: a guest has reached limits.connections_per_guest", logger: logger)
        self.tooManyOfOwner = RateLimitedWarning(
            """
            Rejected connections: a tenant's guests, or an address's where certificates name no tenant, have reached \
            limits.tenant_percent of limits.connections
            """, logger: logger)
        self.full = RateLimitedWarning(
            """
            Closed connections so that others are served: limits.connections was reached. Each was the longest idle one of the \
            guest with most, in the tenant or address with most
            """, logger: logger)
    }

    /// The number of rejected connections.
    package var rejected: Int { self.state.withLockedValue { $0.rejected } }
    /// The number of connections that were closed so that others were served.
    package var displaced: Int { self.state.withLockedValue { $0.displaced } }
    /// The number of guests that are connected, or remembered because they have just disconnected.
    package var guests: Int { self.state.withLockedValue { $0.guestConnections.count } }
    /// The number of tenants of these guests.
    package var tenants: Int { self.state.withLockedValue { $0.tenants.count } }

    package func admit(
        _ peer: RPCPeer, on eventLoop: any EventLoop, close: @escaping @Sendable (RPCError) -> Void
    ) -> Result<any RPCPeerRateLimiter, RPCError> {
        let now = eventLoop.now
        let owner = ConnectionQuotaOwner(peer)
        var displaced: ConnectionRateLimiter?
        let admission = self.state.withLockedValue { state -> Result<ConnectionRateLimiter, Rejection> in
            var forgotten: [String] = []
            var tenant = owner.tenantID.flatMap { state.tenants[$0] }
            let admission = state.guestConnections.admit(
                peer.identity, for: owner, now: now,
                lastActivity: { [connections = state.connections] in connections[$0]?.lastActivity ?? now },
                forgetIfFull: { Self.forgetIfFull($0, now: now, &forgotten) },
                makeRateLimiter: {
                    if tenant == nil || forgotten.contains(owner.tenantID ?? "") {
                        tenant = owner.tenantID.map { TenantRateLimiter($0, self.limits.tenantRates, now: now) }
                    }
                    tenant?.addGuest()
                    return GuestRateLimiters(guest: GuestRateLimiter(self.limits.rates, now: now), tenant: tenant)
                })
            for name in forgotten { state.tenants[name] = nil }
            if let tenant, tenant.hasGuests { state.tenants[tenant.name] = tenant }
            switch admission {
            case .admitted(let number, let limiters, let closing):
                let connection = ConnectionRateLimiter(number, limiters, self, close: close, now: now)
                state.connections[number] = connection
                if let closing {
                    displaced = state.connections.removeValue(forKey: closing)
                    state.displaced += 1
                }
                return .success(connection)
            case .guestHasTooMany:
                state.rejected += 1
                return .failure(.guest)
            case .ownerHasTooMany:
                state.rejected += 1
                return .failure(.owner)
            }
        }
        if let displaced {
            displaced.close(Self.fullError)
            self.full.record(on: eventLoop, metadata: ["limits.connections": "\(self.limits.connections)"])
        }
        switch admission {
        case .success(let connection): return .success(connection)
        case .failure(let rejection): return .failure(self.reject(rejection, peer, eventLoop))
        }
    }

    private enum Rejection: Error {
        case guest
        case owner
    }

    private func reject(_ rejection: Rejection, _ peer: RPCPeer, _ eventLoop: any EventLoop) -> RPCError {
        switch rejection {
        case .guest:
            self.tooManyOfGuest.record(
                on: eventLoop,
                metadata: [
                    "peer": "\(peer.remoteAddress)",
                    "limits.connections_per_guest": "\(self.limits.connectionsPerGuest)",
                ])
            return Self.rejection("this guest has \(self.limits.connectionsPerGuest)")
        case .owner:
            self.tooManyOfOwner.record(
                on: eventLoop,
                metadata: [
                    "peer": "\(peer.remoteAddress)", "limits.tenant_percent": "\(self.limits.tenantPercent)",
                    "connections": "\(self.limits.connectionsPerOwner)",
                ])
            return Self.rejection("the guests of this tenant, or address, have \(self.limits.connectionsPerOwner)")
        }
    }

    private static func rejection(_ reason: String) -> RPCError {
        RPCError(
            .rateLimited, "Too many connections: \(reason) already. This one is closed.",
            retryAfterMilliseconds: Self.retryAfterMilliseconds)
    }

    private static let fullError = RPCError(
        .rateLimited,
        """
        Too many connections: the conductor has reached its limit, and this was the longest idle one of the guest with most, in \
        the tenant or address with most. It is closed so that another is served; connect again.
        """, retryAfterMilliseconds: GuestAdmission.retryAfterMilliseconds)

    /// Returns whether the guest is forgotten. If so, removes it from its tenant, and adds a tenant without other known
    /// guests to `forgotten`.
    private static func forgetIfFull(_ limiters: GuestRateLimiters, now: NIODeadline, _ forgotten: inout [String])
        -> Bool
    {
        guard limiters.guest.isFull(now: now) else { return false }
        guard let tenant = limiters.tenant else { return true }
        guard tenant.removeGuest(now: now) else { return false }
        if !tenant.hasGuests { forgotten.append(tenant.name) }
        return true
    }

    fileprivate func remove(_ number: GuestConnectionsStateMachine<GuestRateLimiters>.ConnectionID, now: NIODeadline) {
        self.state.withLockedValue { state in
            var forgotten: [String] = []
            state.connections[number] = nil
            state.guestConnections.remove(number, now: now) { Self.forgetIfFull($0, now: now, &forgotten) }
            for name in forgotten { state.tenants[name] = nil }
        }
    }
}

/// The rate limiter of a guest, or of a tenant's guests together, for connections on any event loop.
private final class GuestRateLimiter: Sendable {
    private let stateMachine: NIOLockedValueBox<GuestRateLimitStateMachine>

    init(_ rates: GuestRateLimitStateMachine.Rates, now: NIODeadline) {
        self.stateMachine = NIOLockedValueBox(GuestRateLimitStateMachine(rates, now: now))
    }

    func chargeRequest(now: NIODeadline) -> TimeAmount? {
        self.stateMachine.withLockedValue { $0.chargeRequest(now: now) }
    }

    func chargeReceived(bytes: Int, now: NIODeadline) {
        self.stateMachine.withLockedValue { $0.chargeReceived(bytes: bytes, now: now) }
    }

    func chargePublished(bytes: Int, now: NIODeadline) {
        self.stateMachine.withLockedValue { $0.chargePublished(bytes: bytes, now: now) }
    }

    func pause(now: NIODeadline) -> TimeAmount? { self.stateMachine.withLockedValue { $0.pause(now: now) } }

    func hasExhaustedRejections(now: NIODeadline) -> Bool {
        self.stateMachine.withLockedValue { $0.hasExhaustedRejections(now: now) }
    }

    func isFull(now: NIODeadline) -> Bool { self.stateMachine.withLockedValue { $0.isFull(now: now) } }
}

/// The rate limits of a tenant's guests together. They are kept as long as the register knows any of the guests, and
/// are not forgotten while in debt.
private final class TenantRateLimiter: Sendable {
    let name: String
    let limiter: GuestRateLimiter
    private let guests = NIOLockedValueBox(0)

    init(_ name: String, _ rates: GuestRateLimitStateMachine.Rates, now: NIODeadline) {
        self.name = name
        self.limiter = GuestRateLimiter(rates, now: now)
    }

    var hasGuests: Bool { self.guests.withLockedValue { $0 > 0 } }

    func addGuest() { self.guests.withLockedValue { $0 += 1 } }

    /// Removes a guest.
    ///
    /// - Returns: false if the last guest stays because the tenant is in debt.
    func removeGuest(now: NIODeadline) -> Bool {
        self.guests.withLockedValue { guests in
            guard guests > 1 || self.limiter.isFull(now: now) else { return false }
            guests -= 1
            return true
        }
    }
}

/// The rate limiter of one guest, and that of its tenant.
private struct GuestRateLimiters: Sendable {
    let guest: GuestRateLimiter
    let tenant: TenantRateLimiter?
}

/// The rate limiter of one connection: its guest's, which all connections of the guest use, and its tenant's.
private final class ConnectionRateLimiter: RPCPeerRateLimiter {
    private struct State {
        var lastActivity: NIODeadline
        /// Nil once the connection has ended, because the closure retains everything that the connection had.
        var close: (@Sendable (RPCError) -> Void)?
    }

    private let number: GuestConnectionsStateMachine<GuestRateLimiters>.ConnectionID
    private let limiters: GuestRateLimiters
    private let admission: GuestAdmission
    private let state: NIOLockedValueBox<State>

    init(
        _ number: GuestConnectionsStateMachine<GuestRateLimiters>.ConnectionID, _ limiters: GuestRateLimiters,
        _ admission: GuestAdmission,
        close: @escaping @Sendable (RPCError) -> Void, now: NIODeadline
    ) {
        self.number = number
        self.limiters = limiters
        self.admission = admission
        self.state = NIOLockedValueBox(State(lastActivity: now, close: close))
    }

    /// The time of the peer's last input.
    var lastActivity: NIODeadline { self.state.withLockedValue { $0.lastActivity } }

    /// Closes the connection so that another one is served.
    func close(_ error: RPCError) { self.state.withLockedValue { $0.close }?(error) }

    /// Counts a request. A request above the guest's own rate does not count against its tenant's rate.
    func chargeRequest(now: NIODeadline) -> TimeAmount? {
        self.limiters.guest.chargeRequest(now: now) ?? self.limiters.tenant?.limiter.chargeRequest(now: now)
    }

    func chargeReceived(bytes: Int, now: NIODeadline) {
        self.state.withLockedValue { $0.lastActivity = now }
        self.limiters.guest.chargeReceived(bytes: bytes, now: now)
        self.limiters.tenant?.limiter.chargeReceived(bytes: bytes, now: now)
    }

    func chargePublished(bytes: Int, now: NIODeadline) {
        self.limiters.guest.chargePublished(bytes: bytes, now: now)
        self.limiters.tenant?.limiter.chargePublished(bytes: bytes, now: now)
    }

    func pause(now: NIODeadline) -> TimeAmount? {
        let guest = self.limiters.guest.pause(now: now)
        guard let tenant = self.limiters.tenant?.limiter.pause(now: now) else { return guest }
        return max(tenant, guest ?? .zero)
    }

    func hasExhaustedRejections(now: NIODeadline) -> Bool { self.limiters.guest.hasExhaustedRejections(now: now) }

    func connectionEnded(now: NIODeadline) {
        self.state.withLockedValue { $0.close = nil }
        self.admission.remove(self.number, now: now)
    }
}
