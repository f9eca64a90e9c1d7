package import ConductorRPC
package import NIOCore

/// Decides which guests' connections are admitted, which one is closed when there are too many, and keeps each guest's share. It
/// holds no clock and no lock.
///
/// A guest that has left is remembered until its share is as good as new: else it could have a new one by connecting
/// again. Past that it is forgotten, so that the register holds those who are connected and those who have just left.
package struct GuestRegister<Share> {
    /// How many connections there may be.
    package struct Limits: Sendable {
        /// Of all guests together.
        package var connections: Int
        /// Of one guest.
        package var connectionsPerGuest: Int
        /// Of one ``ConnectionHolder``.
        package var connectionsPerHolder: Int

        /// Limits of these values.
        package init(connections: Int = .max, connectionsPerGuest: Int, connectionsPerHolder: Int = .max) {
            self.connections = connections
            self.connectionsPerGuest = connectionsPerGuest
            self.connectionsPerHolder = connectionsPerHolder
        }
    }

    /// Names a connection; no two ever have the same.
    package typealias Number = UInt64

    /// What becomes of a new connection.
    package enum Admission {
        /// It is admitted under this number, and has a part in this share.
        ///
        /// `closing` is a connection to close in its stead; it counts no more.
        case admitted(Number, Share, closing: Number?)
        /// Its guest has as many connections as it may.
        case guestHasTooMany
        /// Its tenant, or address, has as many connections as it may.
        case holderHasTooMany
    }

    fileprivate struct Guest {
        var share: Share
        var connections: Int
        /// Counts its departures: what was noted at an earlier one means nothing.
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
    private var connections: [Number: ConnectionHolder] = [:]
    private var holders: [ConnectionHolder: [Number: PeerIdentity]] = [:]
    private var lastNumber: Number = 0
    /// In the order they are due.
    private var departures = CircularBuffer<Departure>()

    /// - Parameters:
    ///   - limits: how many connections there may be.
    ///   - memory: how long after its last connection's end a guest is looked at, whether it can be forgotten.
    package init(_ limits: Limits, memory: TimeAmount) {
        self.limits = limits
        self.memory = memory
    }

    /// How many guests are connected or remembered.
    package var count: Int { self.guests.count }
    /// How many departures are noted.
    package var noted: Int { self.departures.count }
    /// How many connections count.
    package var connectionCount: Int { self.connections.count }
    /// How many connections this party has.
    package func connectionCount(of holder: ConnectionHolder) -> Int { self.holders[holder]?.count ?? 0 }

    /// A guest wants one more connection.
    ///
    /// - Parameters:
    ///   - holder: the party that the connection counts for.
    ///   - lastActivity: when a connection has last said something.
    ///   - isForgettable: whether a share is as good as new; then the guest is forgotten.
    ///   - share: makes a new share.
    package mutating func join(
        _ identity: PeerIdentity, for holder: ConnectionHolder, now: NIODeadline,
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

    /// A connection has ended. One that was closed for another's sake has been left already.
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

    /// The quietest connection of the party that has most; of its guests, of the one that has most. Among equals, the quietest of all
    /// of them.
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

extension GuestRegister.Guest: Sendable where Share: Sendable {}
extension GuestRegister: Sendable where Share: Sendable {}
extension GuestRegister.Admission: Sendable where Share: Sendable {}
