// SPDX-License-Identifier: Apache-2.0

/// A state machine that decides which connections are closed when all together hold more input than a server may: those
/// that hold the most, and among equals the one that has held input for the longest time. It performs no I/O.
package struct BufferedInputStateMachine<ID: Hashable> {
    fileprivate struct Holding {
        var bytes: Int
        /// The position of this connection in the order in which connections began to hold input.
        var order: UInt64
    }

    private let limit: Int
    private var holdings: [ID: Holding] = [:]
    private var lastOrder: UInt64 = 0

    /// The number of bytes that all connections hold.
    package private(set) var total = 0

    /// - Parameter limit: how many bytes all connections may hold together.
    package init(limit: Int) { self.limit = limit }

    /// The number of connections that hold input.
    package var count: Int { self.holdings.count }

    /// Records that a connection holds this many bytes now.
    ///
    /// - Returns: the connections to close. Their bytes no longer count.
    package mutating func changed(_ id: ID, to bytes: Int) -> [ID] {
        self.total += bytes - (self.holdings[id]?.bytes ?? 0)
        if bytes == 0 {
            self.holdings[id] = nil
            return []
        }
        if self.holdings[id] == nil { self.lastOrder += 1 }
        self.holdings[id] = Holding(bytes: bytes, order: self.holdings[id]?.order ?? self.lastOrder)
        var closed: [ID] = []
        while self.total > self.limit, let (id, holding) = self.largest {
            self.total -= holding.bytes
            self.holdings[id] = nil
            closed.append(id)
        }
        return closed
    }

    private var largest: (ID, Holding)? {
        self.holdings.max { left, right in
            left.value.bytes < right.value.bytes
                || left.value.bytes == right.value.bytes && left.value.order > right.value.order
        }.map { ($0.key, $0.value) }
    }
}

extension BufferedInputStateMachine.Holding: Sendable where ID: Sendable {}
extension BufferedInputStateMachine: Sendable where ID: Sendable {}
