// SPDX-License-Identifier: Apache-2.0

/// A state machine that decides how much of the publisher's memory each sender may use: its quota. A message counts
/// from the moment that it is offered until it is answered and the broker owes no confirm for it.
///
/// A sender's quota is at most an eighth of the whole, and at most as large as what is still free. So even if many
/// senders use all that they may, another one finds free space. Messages without a sender have no quota, and so no such
/// limit.
struct SenderQuotaStateMachine {
    /// The number of parts of the whole, of which a sender may use one.
    static let parts = 8

    private struct Quota {
        var key: UInt64
        var count = 0
        var bytes = 0
    }

    private let capacity: Int
    private let byteCapacity: Int
    private var flows: [UInt64: Int] = [:]
    /// The use of each quota, by flow number. The first one is for messages without a sender.
    private var quotas = [Quota(key: 0)]
    private var free: [Int] = []

    /// - Parameters:
    ///   - capacity: the maximum number of messages of all senders.
    ///   - byteCapacity: the maximum number of their bytes.
    init(capacity: Int, byteCapacity: Int) {
        self.capacity = capacity
        self.byteCapacity = byteCapacity
    }

    /// The number of senders with outstanding messages.
    var count: Int { self.flows.count }

    /// Counts a message against its sender's quota.
    ///
    /// - Parameters:
    ///   - countLeft: the number of messages of any sender that there is space for.
    ///   - bytesLeft: the number of bytes that there is space for.
    /// - Returns: the number of the sender's flow; nil when the sender's quota is exceeded. A message of a sender
    ///   that has no other one outstanding is always admitted.
    mutating func reserve(_ sender: OutgoingMessage.Sender?, bytes: Int, countLeft: Int, bytesLeft: Int) -> Int? {
        guard let sender else { return DeficitRoundRobinQueue<Never>.own }
        if let flow = self.flows[sender.key] {
            let quota = self.quotas[flow]
            guard quota.count + 1 <= min(max(1, self.capacity / Self.parts), countLeft),
                quota.bytes + bytes <= min(self.byteCapacity / Self.parts, bytesLeft)
            else { return nil }
            self.quotas[flow].count += 1
            self.quotas[flow].bytes += bytes
            return flow
        }
        let quota = Quota(key: sender.key, count: 1, bytes: bytes)
        let flow: Int
        if let last = self.free.popLast() {
            flow = last
            self.quotas[flow] = quota
        } else {
            flow = self.quotas.count
            self.quotas.append(quota)
        }
        self.flows[sender.key] = flow
        return flow
    }

    /// Releases a message from its sender's quota. When nothing of a flow is outstanding, its number may be given to
    /// another sender.
    mutating func release(_ flow: Int, bytes: Int) {
        guard flow != DeficitRoundRobinQueue<Never>.own else { return }
        self.quotas[flow].count -= 1
        self.quotas[flow].bytes -= bytes
        guard self.quotas[flow].count == 0 else { return }
        self.flows[self.quotas[flow].key] = nil
        self.free.append(flow)
    }
}
