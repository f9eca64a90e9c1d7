package import ConductorRPC
package import NIOCore

/// Who is connected, how often, and what each one's share is. It holds no clock and no lock.
///
/// A guest that has left is remembered until its share is as good as new: else it could have a new one by connecting
/// again. Past that it is forgotten, so that the register holds those who are connected and those who have just left.
package struct GuestRegister<Share> {
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

    private let connectionsPerGuest: Int
    private let memory: TimeAmount
    private var guests: [PeerIdentity: Guest] = [:]
    /// In the order they are due.
    private var departures = CircularBuffer<Departure>()

    /// - Parameters:
    ///   - connectionsPerGuest: how many connections one guest may have.
    ///   - memory: how long after its last connection's end a guest is looked at, whether it can be forgotten.
    package init(connectionsPerGuest: Int, memory: TimeAmount) {
        self.connectionsPerGuest = connectionsPerGuest
        self.memory = memory
    }

    /// How many guests are connected or remembered.
    package var count: Int { self.guests.count }
    /// How many departures are noted.
    package var noted: Int { self.departures.count }

    /// A guest has one more connection.
    ///
    /// - Parameters:
    ///   - isForgettable: whether a share is as good as new.
    ///   - share: makes a new share.
    /// - Returns: its share; nil when it has as many connections as it may.
    package mutating func join(
        _ identity: PeerIdentity, now: NIODeadline, isForgettable: (Share) -> Bool, share: () -> Share
    ) -> Share? {
        self.forget(now: now, isForgettable)
        var guest = self.guests[identity] ?? Guest(share: share(), connections: 0)
        guard guest.connections < self.connectionsPerGuest else { return nil }
        guest.connections += 1
        self.guests[identity] = guest
        return guest.share
    }

    /// A guest has one connection less.
    package mutating func leave(_ identity: PeerIdentity, now: NIODeadline, isForgettable: (Share) -> Bool) {
        self.forget(now: now, isForgettable)
        guard var guest = self.guests[identity] else { return }
        guest.connections -= 1
        if guest.connections == 0 {
            guest.departures += 1
            self.departures.append(Departure(identity: identity, number: guest.departures, due: now + self.memory))
        }
        self.guests[identity] = guest
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
