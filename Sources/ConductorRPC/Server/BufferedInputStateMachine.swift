// SPDX-License-Identifier: Apache-2.0

/// A state machine that decides which connections are closed when all together hold more input than a server may: those
/// that hold the most, and among equals the one that has held input for the longest time. It performs no I/O.
package struct BufferedInputStateMachine<ID: Hashable> {
    fileprivate struct Entry {
        var bytes: Int
        /// The position of this connection in the order in which connections began to hold input.
        var order: UInt64
    }

    private let limit: Int
    private var entries: [ID: Entry] = [:]
    private var lastOrder: UInt64 = 0

    /// The number of bytes that all connections hold.
    package private(set) var total = 0

    /// - Parameter limit: how many bytes all connections may hold together.
    package init(limit: Int) { self.limit = limit }

    /// The number of connections that hold input.
    package var count: Int { self.entries.count }

    /// Records that a connection holds this many bytes now.
    ///
    /// - Returns: the connections to close. Their bytes no longer count.
    package mutating func changed(_ id: ID, to bytes: Int) -> [ID] {
        self.total += bytes - (self.entries[id]?.bytes ?? 0)
        if bytes == 0 {
            self.entries[id] = nil
            return []
        }
        if self.entries[id] == nil { self.lastOrder += 1 }
        self.entries[id] = Entry(bytes: bytes, order: self.entries[id]?.order ?? self.lastOrder)
        var closed: [ID] = []
        while self.total > self.limit, let (id, entry) = self.largest {
            self.total -= entry.bytes
            self.entries[id] = nil
            closed.append(id)
        }
        return closed
    }

    private var largest: (ID, Entry)? {
        self.entries.max { left, right in
            left.value.bytes < right.value.bytes
                || left.value.bytes == right.value.bytes && left.value.order > right.value.order
        }.map { ($0.key, $0.value) }
    }
}

extension BufferedInputStateMachine.Entry: Sendable where ID: Sendable {}
extension BufferedInputStateMachine: Sendable where ID: Sendable {}
