import ConductorRPC
import NIOCore

/// Decides which of the things that guests can do as often as they like are logged: of each guest's one a minute, with the number of
/// those before it that were not. It holds no clock.
struct GuestNotices: Sendable {
    /// How long a guest's are only counted after one was logged.
    static let interval = TimeAmount.minutes(1)
    /// How many guests are kept; while so many had a line within the interval, no others have one.
    static let limit = 1024

    /// A line that is due. Its numbers are in no other line.
    struct Line: Sendable, Hashable {
        /// How many of the guest's were not logged since the last one that was.
        var before = 0
        /// How many of other guests', for which there was no room, were not logged.
        var beforeOfOthers = 0
    }

    private var guests: [PeerIdentity: (quietUntil: NIODeadline, unlogged: Int)] = [:]
    private var unloggedOfOthers = 0

    /// A guest did it.
    ///
    /// - Parameter hasPlace: whether the log has a place for a line; asked when one is due. What has none is counted.
    /// - Returns: what the line says; nil when this one is not logged but counted.
    mutating func happened(_ guest: PeerIdentity, now: NIODeadline, hasPlace: () -> Bool = { true }) -> Line? {
        if let known = self.guests[guest], now < known.quietUntil {
            self.guests[guest]?.unlogged += 1
            return nil
        }
        if self.guests[guest] == nil, self.guests.count >= Self.limit {
            self.makeRoom(now: now)
            guard self.guests.count < Self.limit else {
                self.unloggedOfOthers += 1
                return nil
            }
        }
        let unlogged = self.guests[guest]?.unlogged ?? 0
        guard hasPlace() else {
            self.guests[guest] = (now, unlogged + 1)
            return nil
        }
        self.guests[guest] = (now + Self.interval, 0)
        defer { self.unloggedOfOthers = 0 }
        return Line(before: unlogged, beforeOfOthers: self.unloggedOfOthers)
    }

    /// Drops the guests whose interval is over. What was counted of them is logged with the next line.
    private mutating func makeRoom(now: NIODeadline) {
        self.guests = self.guests.filter { guest in
            guard now >= guest.value.quietUntil else { return true }
            self.unloggedOfOthers += guest.value.unlogged
            return false
        }
    }
}
