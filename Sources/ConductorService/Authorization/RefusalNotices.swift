import ConductorRPC
import NIOCore

/// Decides which guests' refusals an operator is told of: of each guest's one a minute. It holds no clock.
struct RefusalNotices: Sendable {
    /// How long a guest's refusals are only counted after one was told.
    static let interval = TimeAmount.minutes(1)
    /// How many guests are kept; while so many were told of within the interval, no others are.
    static let limit = 1024

    private var guests: [PeerIdentity: (quietUntil: NIODeadline, unsaid: Int)] = [:]

    /// A guest was refused something.
    ///
    /// - Returns: how many of its refusals have gone unsaid since the last one that was told; nil when this one is not told
    ///   either.
    mutating func refused(_ guest: PeerIdentity, now: NIODeadline) -> Int? {
        if let known = self.guests[guest], now < known.quietUntil {
            self.guests[guest]?.unsaid += 1
            return nil
        }
        if self.guests[guest] == nil, self.guests.count >= Self.limit {
            self.guests = self.guests.filter { now < $0.value.quietUntil }
            guard self.guests.count < Self.limit else { return nil }
        }
        let unsaid = self.guests[guest]?.unsaid ?? 0
        self.guests[guest] = (now + Self.interval, 0)
        return unsaid
    }
}
