// SPDX-License-Identifier: Apache-2.0

/// A priority queue of addresses: the one with the highest rank is known at once. It performs no I/O.
///
/// It is a binary heap that knows the position of each address, so a change takes time logarithmic in their number.
struct AddressPriorityQueue<Rank: Comparable> {
    private var heap: [(address: NetworkAddress, rank: Rank)] = []
    private var positions: [NetworkAddress: Int] = [:]

    /// The number of addresses with a rank.
    var count: Int { self.heap.count }

    /// The address with the highest rank, or one of them.
    var highest: (address: NetworkAddress, rank: Rank)? { self.heap.first }

    /// Sets the rank of an address, or removes the address for nil.
    mutating func update(_ address: NetworkAddress, to rank: Rank?) {
        switch (self.positions[address], rank) {
        case (nil, nil): break
        case (nil, let rank?):
            self.heap.append((address, rank))
            self.positions[address] = self.heap.count - 1
            self.moveUp(self.heap.count - 1)
        case (let position?, let rank?):
            guard self.heap[position].rank != rank else { return }
            self.heap[position].rank = rank
            self.moveDown(self.moveUp(position))
        case (let position?, nil):
            self.swap(position, self.heap.count - 1)
            self.heap.removeLast()
            self.positions[address] = nil
            if position < self.heap.count { self.moveDown(self.moveUp(position)) }
        }
    }

    /// - Returns: the new position of the address.
    @discardableResult
    private mutating func moveUp(_ start: Int) -> Int {
        var position = start
        while position > 0, self.heap[(position - 1) / 2].rank < self.heap[position].rank {
            self.swap(position, (position - 1) / 2)
            position = (position - 1) / 2
        }
        return position
    }

    private mutating func moveDown(_ start: Int) {
        var position = start
        while true {
            var highest = position
            for child in [2 * position + 1, 2 * position + 2]
            where child < self.heap.count && self.heap[highest].rank < self.heap[child].rank { highest = child }
            guard highest != position else { return }
            self.swap(position, highest)
            position = highest
        }
    }

    private mutating func swap(_ one: Int, _ other: Int) {
        guard one != other else { return }
        self.heap.swapAt(one, other)
        self.positions[self.heap[one].address] = one
        self.positions[self.heap[other].address] = other
    }
}

extension AddressPriorityQueue: Sendable where Rank: Sendable {}
