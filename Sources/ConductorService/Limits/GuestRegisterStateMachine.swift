// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC
package import NIOCore

/// A register of guests' connections. Decides which connections are admitted and which one is closed when there are too
/// many, and keeps each guest's `Share`: its rate limiter. It reads no clock and takes no lock.
///
/// A guest that has disconnected is remembered until its share is as full as a new one. Otherwise it would get a new
/// share by connecting again. After that it is forgotten, so that the register holds only guests that are connected or
/// have just disconnected.
package struct GuestRegisterStateMachine<Share> {
    /// The maximum numbers of connections.
    package struct Limits: Sendable {
        /// Of all guests together.
        package var connections: Int
        /// Of one guest.
        package var connectionsPerGuest: Int
        /// Of one ``ConnectionQuotaOwner``.
        package var connectionsPerHolder: Int

        /// Creates limits with these values.
        package init(connections: Int = .max, connectionsPerGuest: Int, connectionsPerHolder: Int = .max) {
            self.connections = connections
            self.connectionsPerGuest = connectionsPerGuest
            self.connectionsPerHolder = connectionsPerHolder
        }
    }

    /// The number of a connection; no two connections ever have the same.
    package typealias Number = UInt64

    /// The decision about a new connection.
    package enum Admission {
        /// The connection is admitted with this number, and uses this share.
        ///
        /// `closing` is a connection to close in exchange; it is no longer counted.
        case admitted(Number, Share, closing: Number?)
        /// The guest already has as many connections as it may have.
        case guestHasTooMany
        /// The tenant, or address, already has as many connections as it may have.
        case holderHasTooMany
    }

    fileprivate struct Guest {
        var share: Share
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
    private let memory: TimeAmount
    private var guests: [PeerIdentity: Guest] = [:]
    private var connections: [Number: ConnectionQuotaOwner] = [:]
    private var holders: [ConnectionQuotaOwner: [Number: PeerIdentity]] = [:]
    private var lastNumber: Number = 0
    /// In the order of their due times.
    private var departures = CircularBuffer<Departure>()

    /// - Parameters:
    ///   - limits: the maximum numbers of connections.
    ///   - memory: the time after a guest's last connection has ended until the register checks whether the guest can
    ///     be forgotten.
    package init(_ limits: Limits, memory: TimeAmount) {
        self.limits = limits
        self.memory = memory
    }

    /// The number of guests that are connected or remembered.
    package var count: Int { self.guests.count }
    /// The number of recorded departures.
    package var noted: Int { self.departures.count }
    /// The number of admitted connections.
    package var connectionCount: Int { self.connections.count }
    /// Returns the number of connections of this party.
    package func connectionCount(of holder: ConnectionQuotaOwner) -> Int { self.holders[holder]?.count ?? 0 }

    /// Decides about one more connection of a guest.
    ///
    /// - Parameters:
    ///   - holder: the party that the connection counts for.
    ///   - lastActivity: returns the time of a connection's last input.
    ///   - isForgettable: returns whether a share is as full as a new one. The guest is forgotten then.
    ///   - share: creates a new share.
    package mutating func join(
        _ identity: PeerIdentity, for holder: ConnectionQuotaOwner, now: NIODeadline,
        lastActivity: (Number) -> NIODeadline, isForgettable: (Share) -> Bool, share: () -> Share
    ) -> Admission {
        self.forget(now: now, isForgettable)
        if let guest = self.guests[identity], guest.connections >= self.limits.connectionsPerGuest {
            return .guestHasTooMany
        }
        guard self.connectionCount(of: holder) < self.limits.connectionsPerHolder else { return .holderHasTooMany }
        var closing: Number?
        if self.connections.count >= self.limits.connections {
            closing = self.victim(lastActivity)
            if let closing { self.leave(closing, now: now, isForgettable: isForgettable) }
        }
        var guest = self.guests[identity] ?? Guest(share: share(), connections: 0)
        guest.connections += 1
        self.guests[identity] = guest
        self.lastNumber += 1
        self.connections[self.lastNumber] = holder
        self.holders[holder, default: [:]][self.lastNumber] = identity
        return .admitted(self.lastNumber, guest.share, closing: closing)
    }

    /// Removes a connection that has ended. A connection that was closed in exchange for another one is already
    /// removed.
    package mutating func leave(_ number: Number, now: NIODeadline, isForgettable: (Share) -> Bool) {
        self.forget(now: now, isForgettable)
        guard let holder = self.connections.removeValue(forKey: number),
            let identity = self.holders[holder]?.removeValue(forKey: number)
        else { return }
        if self.holders[holder]?.isEmpty == true { self.holders[holder] = nil }
        guard var guest = self.guests[identity] else { return }
        guest.connections -= 1
        if guest.connections == 0 {
            guest.departures += 1
            self.departures.append(Departure(identity: identity, number: guest.departures, due: now + self.memory))
        }
        self.guests[identity] = guest
    }

    /// Returns the connection to close: within the party with most connections, of the guest with most connections, the
    /// one that has been idle longest. If several parties or guests are equal, it is the one that has been idle longest
    /// among all of them.
    private func victim(_ lastActivity: (Number) -> NIODeadline) -> Number? {
        let most = self.holders.values.reduce(0) { max($0, $1.count) }
        var best: (number: Number, count: Int, activity: NIODeadline)?
        for connections in self.holders.values where connections.count == most {
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

    private mutating func forget(now: NIODeadline, _ isForgettable: (Share) -> Bool) {
        while let departure = self.departures.first, departure.due <= now {
            self.departures.removeFirst()
            guard let guest = self.guests[departure.identity], guest.connections == 0,
                guest.departures == departure.number
            else { continue }
            if isForgettable(guest.share) {
                self.guests[departure.identity] = nil
            } else {
                self.departures.append(
                    Departure(identity: departure.identity, number: departure.number, due: now + self.memory))
            }
        }
    }
}

extension GuestRegisterStateMachine.Guest: Sendable where Share: Sendable {}
extension GuestRegisterStateMachine: Sendable where Share: Sendable {}
extension GuestRegisterStateMachine.Admission: Sendable where Share: Sendable {}
