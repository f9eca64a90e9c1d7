import ConductorRPC
import NIOCore

/// Decides which of the things that guests can do as often as they like are logged: of each guest's one a minute, with the number of
/// those before it that were not. It holds no clock.
struct GuestNotices: Sendable {
    /// How long a guest's are only counted after one was logged.
    static let interval = TimeAmount.minutes(1)
    /// How many guests are kept; while so many had a line within the interval, no others have one.
    static let limit = 1024

    private var guests: [PeerIdentity: (quietUntil: NIODeadline, unlogged: Int)] = [:]

    /// A guest did it.
    ///
    /// - Parameter hasPlace: whether the log has a place for a line; asked when one is due. What has none is counted.
    /// - Returns: how many of the guest's were not logged since the last one that was; nil when this one is not logged either.
    mutating func happened(_ guest: PeerIdentity, now: NIODeadline, hasPlace: () -> Bool = { true }) -> Int? {
        if let known = self.guests[guest], now < known.quietUntil {
            self.guests[guest]?.unlogged += 1
            return nil
        }
        if self.guests[guest] == nil, self.guests.count >= Self.limit {
            self.guests = self.guests.filter { now < $0.value.quietUntil }
            guard self.guests.count < Self.limit else { return nil }
        }
        let unlogged = self.guests[guest]?.unlogged ?? 0
        guard hasPlace() else {
            self.guests[guest] = (now, unlogged + 1)
            return nil
        }
        self.guests[guest] = (now + Self.interval, 0)
        return unlogged
    }
}
