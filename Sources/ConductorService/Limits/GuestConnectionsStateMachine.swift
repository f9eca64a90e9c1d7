// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC
package import NIOCore

/// A register of guests' connections. Decides which connections are admitted and which one is closed when there are too
/// many, and keeps each guest's `RateLimiter`. It reads no clock and takes no lock.
///
/// A guest that has disconnected is remembered until its rate limiter is full again. Otherwise it would get a full one
/// by connecting again. After that it is forgotten, so that the register holds only guests that are connected or
/// have just disconnected.
package struct GuestConnectionsStateMachine<RateLimiter> {
    /// The maximum numbers of connections.
    package struct Limits: Sendable {
        /// Of all guests together.
        package var connections: Int
        /// Of one guest.
        package var connectionsPerGuest: Int
        /// Of one ``ConnectionQuotaOwner``.
        package var connectionsPerOwner: Int

        /// Creates limits with these values.
        package init(connections: Int = .max, connectionsPerGuest: Int, connectionsPerOwner: Int = .max) {
            self.connections = connections
            self.connectionsPerGuest = connectionsPerGuest
            self.connectionsPerOwner = connectionsPerOwner
        }
    }

    /// The number of a connection; no two connections ever have the same.
    package typealias ConnectionID = UInt64

    /// The decision about a new connection.
    package enum Admission {
        /// The connection is admitted with this number, and uses this rate limiter.
        ///
        /// `closing` is a connection to close in exchange; it is no longer counted.
        case admitted(ConnectionID, RateLimiter, closing: ConnectionID?)
        /// The guest already has as many connections as it may have.
        case guestHasTooMany
        /// The tenant, or address, already has as many connections as it may have.
        case ownerHasTooMany
    }

    fileprivate struct Guest {
        var rateLimiter: RateLimiter
        var connections: Int
        /// The number of times that the guest has disconnected. A ``Departure`` with a lower number is obsolete.
        var departures = 0
    }

    private struct Departure {
        var identity: PeerIdentity
        var number: Int
        var due: NIODeadline
    }

    private let limits: Limits
    private let retention: TimeAmount
    private var guests: [PeerIdentity: Guest] = [:]
    private var connections: [ConnectionID: ConnectionQuotaOwner] = [:]
    private var owners: [ConnectionQuotaOwner: [ConnectionID: PeerIdentity]] = [:]
    private var lastConnectionID: ConnectionID = 0
    /// In the order of their due times.
    private var departures = CircularBuffer<Departure>()

    /// - Parameters:
    ///   - limits: the maximum numbers of connections.
    ///   - retention: the time after a guest's last connection has ended until the register checks whether the guest can
    ///     be forgotten.
    package init(_ limits: Limits, retention: TimeAmount) {
        self.limits = limits
        self.retention = retention
    }

    /// The number of guests that are connected or remembered.
    package var count: Int { self.guests.count }
    /// The number of recorded departures.
    package var departureCount: Int { self.departures.count }
    /// The number of admitted connections.
    package var connectionCount: Int { self.connections.count }
    /// Returns the number of connections of this party.
    package func connectionCount(of owner: ConnectionQuotaOwner) -> Int { self.owners[owner]?.count ?? 0 }

    /// Decides about one more connection of a guest.
    ///
    /// - Parameters:
    ///   - owner: the party that the connection counts for.
    ///   - lastActivity: returns the time of a connection's last input.
    ///   - forgetIfFull: returns whether a rate limiter is full, and forgets its guest then.
    ///   - makeRateLimiter: creates a new rate limiter.
    package mutating func admit(
        _ identity: PeerIdentity, for owner: ConnectionQuotaOwner, now: NIODeadline,
        lastActivity: (ConnectionID) -> NIODeadline, forgetIfFull: (RateLimiter) -> Bool,
        makeRateLimiter: () -> RateLimiter
    ) -> Admission {
        self.forget(now: now, forgetIfFull)
        if let guest = self.guests[identity], guest.connections >= self.limits.connectionsPerGuest {
            return .guestHasTooMany
        }
        guard self.connectionCount(of: owner) < self.limits.connectionsPerOwner else { return .ownerHasTooMany }
        var closing: ConnectionID?
        if self.connections.count >= self.limits.connections {
            closing = self.connectionToClose(lastActivity)
            if let closing { self.remove(closing, now: now, forgetIfFull: forgetIfFull) }
        }
        var guest = self.guests[identity] ?? Guest(rateLimiter: makeRateLimiter(), connections: 0)
        guest.connections += 1
        self.guests[identity] = guest
        self.lastConnectionID += 1
        self.connections[self.lastConnectionID] = owner
        self.owners[owner, default: [:]][self.lastConnectionID] = identity
        return .admitted(self.lastConnectionID, guest.rateLimiter, closing: closing)
    }

    /// Removes a connection that has ended. A connection that was closed in exchange for another one is already
    /// removed.
    package mutating func remove(_ number: ConnectionID, now: NIODeadline, forgetIfFull: (RateLimiter) -> Bool) {
        self.forget(now: now, forgetIfFull)
        guard let owner = self.connections.removeValue(forKey: number),
            let identity = self.owners[owner]?.removeValue(forKey: number)
        else { return }
        if self.owners[owner]?.isEmpty == true { self.owners[owner] = nil }
        guard var guest = self.guests[identity] else { return }
        guest.connections -= 1
        if guest.connections == 0 {
            guest.departures += 1
            self.departures.append(Departure(identity: identity, number: guest.departures, due: now + self.retention))
        }
        self.guests[identity] = guest
    }

    /// Returns the connection to close: within the party with most connections, of the guest with most connections, the
    /// one that has been idle longest. If several parties or guests are equal, it is the one that has been idle longest
    /// among all of them.
    private func connectionToClose(_ lastActivity: (ConnectionID) -> NIODeadline) -> ConnectionID? {
        let most = self.owners.values.reduce(0) { max($0, $1.count) }
        var best: (number: ConnectionID, count: Int, activity: NIODeadline)?
        for connections in self.owners.values where connections.count == most {
            let counts = connections.values.reduce(into: [PeerIdentity: Int]()) { $0[$1, default: 0] += 1 }
            for (number, identity) in connections {
                let (count, activity) = (counts[identity] ?? 0, lastActivity(number))
                if let best, (best.count, activity) > (count, best.activity) { continue }
                if let best, best.count == count, best.activity == activity, best.number < number { continue }
                best = (number, count, activity)
            }
        }
        return best?.number
    }

    private mutating func forget(now: NIODeadline, _ forgetIfFull: (RateLimiter) -> Bool) {
        while let departure = self.departures.first, departure.due <= now {
            self.departures.removeFirst()
            guard let guest = self.guests[departure.identity], guest.connections == 0,
                guest.departures == departure.number
            else { continue }
            if forgetIfFull(guest.rateLimiter) {
                self.guests[departure.identity] = nil
            } else {
                self.departures.append(
                    Departure(identity: departure.identity, number: departure.number, due: now + self.retention))
            }
        }
    }
}

extension GuestConnectionsStateMachine.Guest: Sendable where RateLimiter: Sendable {}
extension GuestConnectionsStateMachine: Sendable where RateLimiter: Sendable {}
extension GuestConnectionsStateMachine.Admission: Sendable where RateLimiter: Sendable {}
