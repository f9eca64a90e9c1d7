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
        var register: GuestRegisterStateMachine<GuestShare>
        /// The tenants that have a guest in the register.
        var tenants: [String: TenantShare] = [:]
        var connections: [GuestRegisterStateMachine<GuestShare>.Number: GuestConnection] = [:]
        var refused = 0
        var displaced = 0
    }

    private let limits: ConnectionLimits
    private let state: NIOLockedValueBox<State>
    private let tooManyOfGuest: RateLimitedWarning
    private let tooManyOfHolder: RateLimitedWarning
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
                register: GuestRegisterStateMachine(
                    .init(
                        connections: limits.connections, connectionsPerGuest: limits.connectionsPerGuest,
                        connectionsPerHolder: limits.connectionsPerHolder),
                    memory: TimeAmount(.seconds(min(max(seconds, 1), 3600))))))
        self.tooManyOfGuest = RateLimitedWarning(
            "Rejected connections: a guest has reached limits.connections_per_guest", logger: logger)
        self.tooManyOfHolder = RateLimitedWarning(
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
    package var refused: Int { self.state.withLockedValue { $0.refused } }
    /// The number of connections that were closed so that others were served.
    package var displaced: Int { self.state.withLockedValue { $0.displaced } }
    /// The number of guests that are connected, or remembered because they have just disconnected.
    package var guests: Int { self.state.withLockedValue { $0.register.count } }
    /// The number of tenants of these guests.
    package var tenants: Int { self.state.withLockedValue { $0.tenants.count } }

    package func admit(
        _ peer: RPCPeer, on eventLoop: any EventLoop, close: @escaping @Sendable (RPCError) -> Void
    ) -> Result<any RPCPeerRateLimiter, RPCError> {
        let now = eventLoop.now
        let holder = ConnectionQuotaOwner(peer)
        var displaced: GuestConnection?
        let admission = self.state.withLockedValue { state -> Result<GuestConnection, Refusal> in
            var forgotten: [String] = []
            var tenant = holder.tenantID.flatMap { state.tenants[$0] }
            let admission = state.register.join(
                peer.identity, for: holder, now: now,
                lastActivity: { [connections = state.connections] in connections[$0]?.lastActivity ?? now },
                isForgettable: { Self.forgetIfFull($0, now: now, &forgotten) },
                share: {
                    if tenant == nil || forgotten.contains(holder.tenantID ?? "") {
                        tenant = holder.tenantID.map { TenantShare($0, self.limits.tenantRates, now: now) }
                    }
                    tenant?.addGuest()
                    return GuestShare(guest: GuestRateLimiter(self.limits.rates, now: now), tenant: tenant)
                })
            for name in forgotten { state.tenants[name] = nil }
            if let tenant, tenant.hasGuests { state.tenants[tenant.name] = tenant }
            switch admission {
            case .admitted(let number, let share, let closing):
                let connection = GuestConnection(number, share, self, close: close, now: now)
                state.connections[number] = connection
                if let closing {
                    displaced = state.connections.removeValue(forKey: closing)
                    state.displaced += 1
                }
                return .success(connection)
            case .guestHasTooMany:
                state.refused += 1
                return .failure(.guest)
            case .holderHasTooMany:
                state.refused += 1
                return .failure(.holder)
            }
        }
        if let displaced {
            displaced.close(Self.fullError)
            self.full.happened(on: eventLoop, metadata: ["limits.connections": "\(self.limits.connections)"])
        }
        switch admission {
        case .success(let connection): return .success(connection)
        case .failure(let refusal): return .failure(self.refuse(refusal, peer, eventLoop))
        }
    }

    private enum Refusal: Error {
        case guest
        case holder
    }

    private func refuse(_ refusal: Refusal, _ peer: RPCPeer, _ eventLoop: any EventLoop) -> RPCError {
        switch refusal {
        case .guest:
            self.tooManyOfGuest.happened(
                on: eventLoop,
                metadata: [
                    "peer": "\(peer.remoteAddress)",
                    "limits.connections_per_guest": "\(self.limits.connectionsPerGuest)",
                ])
            return Self.refusal("this guest has \(self.limits.connectionsPerGuest)")
        case .holder:
            self.tooManyOfHolder.happened(
                on: eventLoop,
                metadata: [
                    "peer": "\(peer.remoteAddress)", "limits.tenant_percent": "\(self.limits.tenantPercent)",
                    "connections": "\(self.limits.connectionsPerHolder)",
                ])
            return Self.refusal("the guests of this tenant, or address, have \(self.limits.connectionsPerHolder)")
        }
    }

    private static func refusal(_ reason: String) -> RPCError {
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
    private static func forgetIfFull(_ share: GuestShare, now: NIODeadline, _ forgotten: inout [String]) -> Bool {
        guard share.guest.isAsGoodAsNew(now: now) else { return false }
        guard let tenant = share.tenant else { return true }
        guard tenant.removeGuest(now: now) else { return false }
        if !tenant.hasGuests { forgotten.append(tenant.name) }
        return true
    }

    fileprivate func left(_ number: GuestRegisterStateMachine<GuestShare>.Number, now: NIODeadline) {
        self.state.withLockedValue { state in
            var forgotten: [String] = []
            state.connections[number] = nil
            state.register.leave(number, now: now) { Self.forgetIfFull($0, now: now, &forgotten) }
            for name in forgotten { state.tenants[name] = nil }
        }
    }
}

/// The rate limiter of a guest, or of a tenant's guests together, for connections on any event loop.
private final class GuestRateLimiter: Sendable {
    private let budget: NIOLockedValueBox<GuestRateLimitStateMachine>

    init(_ rates: GuestRateLimitStateMachine.Rates, now: NIODeadline) {
        self.budget = NIOLockedValueBox(GuestRateLimitStateMachine(rates, now: now))
    }

    func request(now: NIODeadline) -> TimeAmount? { self.budget.withLockedValue { $0.request(now: now) } }

    func received(bytes: Int, now: NIODeadline) {
        self.budget.withLockedValue { $0.received(bytes: bytes, now: now) }
    }

    func published(bytes: Int, now: NIODeadline) {
        self.budget.withLockedValue { $0.published(bytes: bytes, now: now) }
    }

    func pause(now: NIODeadline) -> TimeAmount? { self.budget.withLockedValue { $0.pause(now: now) } }

    func hasExhaustedRejections(now: NIODeadline) -> Bool {
        self.budget.withLockedValue { $0.hasExhaustedRejections(now: now) }
    }

    func isAsGoodAsNew(now: NIODeadline) -> Bool { self.budget.withLockedValue { $0.isAsGoodAsNew(now: now) } }
}

/// The rate limits of a tenant's guests together. They are kept as long as the register knows any of the guests, and
/// are not forgotten while in debt.
private final class TenantShare: Sendable {
    let name: String
    let budget: GuestRateLimiter
    private let guests = NIOLockedValueBox(0)

    init(_ name: String, _ rates: GuestRateLimitStateMachine.Rates, now: NIODeadline) {
        self.name = name
        self.budget = GuestRateLimiter(rates, now: now)
    }

    var hasGuests: Bool { self.guests.withLockedValue { $0 > 0 } }

    func addGuest() { self.guests.withLockedValue { $0 += 1 } }

    /// Removes a guest.
    ///
    /// - Returns: false if the last guest stays because the tenant is in debt.
    func removeGuest(now: NIODeadline) -> Bool {
        self.guests.withLockedValue { guests in
            guard guests > 1 || self.budget.isAsGoodAsNew(now: now) else { return false }
            guests -= 1
            return true
        }
    }
}

/// The rate limiter of one guest, and that of its tenant.
private struct GuestShare: Sendable {
    let guest: GuestRateLimiter
    let tenant: TenantShare?
}

/// The rate limiter of one connection: its guest's, which all connections of the guest use, and its tenant's.
private final class GuestConnection: RPCPeerRateLimiter {
    private struct State {
        var lastActivity: NIODeadline
        /// Nil once the connection has ended, because the closure retains everything that the connection had.
        var close: (@Sendable (RPCError) -> Void)?
    }

    private let number: GuestRegisterStateMachine<GuestShare>.Number
    private let share: GuestShare
    private let admission: GuestAdmission
    private let state: NIOLockedValueBox<State>

    init(
        _ number: GuestRegisterStateMachine<GuestShare>.Number, _ share: GuestShare, _ admission: GuestAdmission,
        close: @escaping @Sendable (RPCError) -> Void, now: NIODeadline
    ) {
        self.number = number
        self.share = share
        self.admission = admission
        self.state = NIOLockedValueBox(State(lastActivity: now, close: close))
    }

    /// The time of the peer's last input.
    var lastActivity: NIODeadline { self.state.withLockedValue { $0.lastActivity } }

    /// Closes the connection so that another one is served.
    func close(_ error: RPCError) { self.state.withLockedValue { $0.close }?(error) }

    /// Counts a request. A request above the guest's own rate does not count against its tenant's rate.
    func request(now: NIODeadline) -> TimeAmount? {
        self.share.guest.request(now: now) ?? self.share.tenant?.budget.request(now: now)
    }

    func received(bytes: Int, now: NIODeadline) {
        self.state.withLockedValue { $0.lastActivity = now }
        self.share.guest.received(bytes: bytes, now: now)
        self.share.tenant?.budget.received(bytes: bytes, now: now)
    }

    func published(bytes: Int, now: NIODeadline) {
        self.share.guest.published(bytes: bytes, now: now)
        self.share.tenant?.budget.published(bytes: bytes, now: now)
    }

    func pause(now: NIODeadline) -> TimeAmount? {
        let guest = self.share.guest.pause(now: now)
        guard let tenant = self.share.tenant?.budget.pause(now: now) else { return guest }
        return max(tenant, guest ?? .zero)
    }

    func hasExhaustedRejections(now: NIODeadline) -> Bool { self.share.guest.hasExhaustedRejections(now: now) }

    func left(now: NIODeadline) {
        self.state.withLockedValue { $0.close = nil }
        self.admission.left(self.number, now: now)
    }
}
