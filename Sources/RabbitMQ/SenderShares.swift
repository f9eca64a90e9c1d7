/// How much of the publisher's memory each sender has in hand, from the moment that a message is offered until it is answered and
/// the broker owes nothing more for it.
///
/// A sender has at most an eighth of all, and never more than is left: however many senders take all they can, another one finds
/// room. Messages without a sender have no share of their own, and so no such limit.
struct SenderShares {
    /// A sender may have one part of so many.
    static let parts = 8

    private struct Share {
        var key: UInt64
        var count = 0
        var bytes = 0
    }

    private let capacity: Int
    private let byteCapacity: Int
    private var flows: [UInt64: Int] = [:]
    /// By number of flow. The first is of messages without a sender.
    private var shares = [Share(key: 0)]
    private var free: [Int] = []

    /// - Parameters:
    ///   - capacity: how many messages there may be of all senders.
    ///   - byteCapacity: how many bytes of them.
    init(capacity: Int, byteCapacity: Int) {
        self.capacity = capacity
        self.byteCapacity = byteCapacity
    }

    /// How many senders have something in hand.
    var count: Int { self.flows.count }

    /// Adds a message to its sender's share.
    ///
    /// - Parameters:
    ///   - countLeft: how many messages of any sender there is room for.
    ///   - bytesLeft: how many bytes.
    /// - Returns: the number of the sender's flow; nil when the sender has its share already. One message is always admitted.
    mutating func take(_ sender: OutgoingMessage.Sender?, bytes: Int, countLeft: Int, bytesLeft: Int) -> Int? {
        guard let sender else { return FairQueue<Never>.own }
        if let flow = self.flows[sender.key] {
            let share = self.shares[flow]
            guard share.count + 1 <= min(max(1, self.capacity / Self.parts), countLeft),
                share.bytes + bytes <= min(self.byteCapacity / Self.parts, bytesLeft)
            else { return nil }
            self.shares[flow].count += 1
            self.shares[flow].bytes += bytes
            return flow
        }
        let share = Share(key: sender.key, count: 1, bytes: bytes)
        let flow: Int
        if let last = self.free.popLast() {
            flow = last
            self.shares[flow] = share
        } else {
            flow = self.shares.count
            self.shares.append(share)
        }
        self.flows[sender.key] = flow
        return flow
    }

    /// Gives a message back. The number of a flow of which nothing is in hand any more may become another sender's.
    mutating func release(_ flow: Int, bytes: Int) {
        guard flow != FairQueue<Never>.own else { return }
        self.shares[flow].count -= 1
        self.shares[flow].bytes -= bytes
        guard self.shares[flow].count == 0 else { return }
        self.flows[self.shares[flow].key] = nil
        self.free.append(flow)
    }
}
