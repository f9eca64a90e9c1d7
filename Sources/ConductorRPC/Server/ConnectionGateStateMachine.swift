// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// A state machine that decides which new connections may begin their handshake, which wait, and which are closed to
/// make room for newer ones. It performs no I/O and reads no clock.
///
/// A connection is silent until its ClientHello is complete. Then it waits for a place among the handshakes, then its
/// handshake is in progress, then it is served. Addresses get places in round robin; an address that has reached its
/// limit is skipped. In no state can a peer hold back connections of other addresses:
///
/// - When too many connections are pending (silent or waiting), the oldest silent one is closed: an honest peer would
///   have sent its ClientHello by then. While none has been silent for longer than an honest ClientHello takes to
///   arrive, the newest connection of the address with the most waiting ones is closed instead, if that address has
///   several or no connection is silent.
/// - When all places are taken and a connection waits, a handshake is closed that has lasted longer than an honest one
///   takes. Among the addresses whose oldest handshake has, it is the oldest of the address with the most handshakes.
package struct ConnectionGateStateMachine<ID: Hashable> {
    /// Limits for the number of connections in each state.
    package struct Limits: Sendable {
        /// The maximum number of connections that are silent or wait.
        package var pending: Int
        /// The maximum number of handshakes in progress.
        package var handshakes: Int
        /// The maximum number of handshakes in progress for one address.
        package var handshakesPerAddress: Int
        /// The time that a connection may be silent before it is closed in preference to one of several that wait.
        package var silenceGrace = TimeAmount.milliseconds(250)
        /// The time for which a handshake is certain to keep its place: several times as long as it takes when honest
        /// peers have all places at once.
        package var handshakeGrace = TimeAmount.seconds(3)

        /// Limits of these values.
        ///
        /// - Parameter handshakesPerAddress: nil for the default: a thirty-second of `handshakes`, but not less than 4.
        package init(pending: Int, handshakes: Int, handshakesPerAddress: Int? = nil) {
            self.pending = pending
            self.handshakes = handshakes
            self.handshakesPerAddress = handshakesPerAddress ?? max(4, handshakes / 32)
        }
    }

    /// The reason why a connection is closed.
    package enum Reason: Sendable {
        /// Too many were pending.
        case pending
        /// Another address waited for its place.
        case handshakes
        /// No descriptor was left for a newcomer.
        case failure
    }

    /// An action for a connection.
    package enum Action: Equatable {
        /// Begin its handshake.
        case begin(ID)
        /// Close it.
        case close(ID, Reason)
    }

    /// The number of connections in each state.
    package struct Counts: Sendable, Equatable {
        /// Connections whose ClientHello is not complete.
        package var silent = 0
        /// Connections that wait for a place.
        package var waiting = 0
        /// Connections whose handshake is in progress.
        package var handshakes = 0
        /// Connections whose handshake is complete.
        package var served = 0
        /// All connections that are not closed, including those that are being closed.
        package var open = 0
    }

    fileprivate enum State {
        case silent
        case waiting
        case handshaking
        case served
        case closing
    }

    fileprivate struct Entry {
        var address: NetworkAddress
        var state: State
        /// The number that distinguishes this connection from an earlier one with the same ID.
        var number: UInt64
        /// The time when its state began.
        var since: NIODeadline
    }

    /// A place in a queue. It is stale when the connection's state has changed since.
    fileprivate struct Place {
        var id: ID
        var number: UInt64
    }

    fileprivate struct Address {
        var waiting = CircularBuffer<Place>()
        var waitingCount = 0
        var handshakes: [ID] = []
        /// Whether it is in ``turns``.
        var hasTurn = false
    }

    /// A rank of addresses by their handshakes: the highest one has the most handshakes, and among equals the oldest
    /// one.
    fileprivate struct HandshakeRank: Comparable {
        var count: Int
        /// The time when the oldest handshake began.
        var since: NIODeadline

        static func < (left: Self, right: Self) -> Bool {
            left.count < right.count || left.count == right.count && left.since > right.since
        }
    }

    /// A rank of addresses by their oldest handshake: the highest one has the oldest of all.
    fileprivate struct OldestHandshakeRank: Comparable {
        var since: NIODeadline

        static func < (left: Self, right: Self) -> Bool { left.since > right.since }
    }

    /// The number of stale places that a queue may have in addition to one for each valid place.
    private static var keptPlaces: Int { 64 }

    private let limits: Limits
    private var entries: [ID: Entry] = [:]
    private var addresses: [NetworkAddress: Address] = [:]
    /// The silent connections, in the order of their arrival.
    private var silent = CircularBuffer<Place>()
    /// The addresses that have a waiting connection and a free place of their own, in the order of their turns. Only
    /// the first one is certain to have a waiting connection still.
    private var turns = CircularBuffer<NetworkAddress>()
    /// The addresses by their number of waiting connections.
    private var waitingRanks = AddressPriorityQueue<Int>()
    /// The addresses with unfinished handshakes, except those in ``overdueHandshakes``.
    private var recentHandshakes = AddressPriorityQueue<OldestHandshakeRank>()
    /// The addresses whose oldest handshake was found to have lasted for ``Limits/handshakeGrace``, and has not changed
    /// since.
    private var overdueHandshakes = AddressPriorityQueue<HandshakeRank>()
    private var lastNumber: UInt64 = 0
    private var hasFailed = false

    /// The number of connections in each state.
    package private(set) var counts = Counts()

    /// - Parameter limits: how many connections may be in each state.
    package init(_ limits: Limits) { self.limits = limits }

    /// Whether connections are accepted: always, unless the last attempt has failed for lack of descriptors or memory.
    package var isAccepting: Bool { !self.hasFailed }

    /// The number of addresses in memory: those with a connection that waits or whose handshake has not ended.
    package var addressCount: Int { self.addresses.count }

    /// Returns the number of this address's handshakes in progress.
    package func handshakeCount(of address: NetworkAddress) -> Int { self.addresses[address]?.handshakes.count ?? 0 }

    /// The number of places in all queues, including stale ones.
    var placeCount: Int { self.addresses.values.reduce(self.silent.count) { $0 + $1.waiting.count } }

    /// Adds a connection that was accepted, and is silent.
    package mutating func accepted(_ id: ID, from address: NetworkAddress, now: NIODeadline) -> [Action] {
        self.lastNumber += 1
        self.entries[id] = Entry(address: address, state: .silent, number: self.lastNumber, since: now)
        self.silent.append(Place(id: id, number: self.lastNumber))
        self.counts.silent += 1
        self.counts.open += 1
        // Without this the queue would hold all connections that ever arrived.
        Self.trim(&self.silent, .silent, self.counts.silent, self.entries)
        var actions: [Action] = []
        while self.counts.silent + self.counts.waiting > self.limits.pending, let id = self.pendingVictim(now: now) {
            actions.append(self.close(id, .pending))
        }
        return actions
    }

    /// Records that a connection's ClientHello is complete.
    package mutating func helloCompleted(_ id: ID, now: NIODeadline) -> [Action] {
        guard var entry = self.entries[id], entry.state == .silent else { return [] }
        entry.state = .waiting
        entry.since = now
        self.entries[id] = entry
        self.counts.silent -= 1
        self.counts.waiting += 1
        // The address is taken out of the dictionary, so that its queue is not copied.
        var address = self.addresses.removeValue(forKey: entry.address) ?? Address()
        Self.trim(&address.waiting, .waiting, address.waitingCount, self.entries)
        address.waiting.append(Place(id: id, number: entry.number))
        address.waitingCount += 1
        self.put(address, entry.address)
        return self.checkDeadlines(now: now)
    }

    /// Records that a connection's handshake is complete. A handshake that fails closes its connection.
    package mutating func handshakeCompleted(_ id: ID, now: NIODeadline) -> [Action] {
        guard let entry = self.entries[id], entry.state == .handshaking else { return [] }
        self.leave(id, entry)
        self.entries[id]?.state = .served
        self.counts.served += 1
        return self.checkDeadlines(now: now)
    }

    /// Records that a connection is closed, and its descriptor free.
    package mutating func closed(_ id: ID, now: NIODeadline) -> [Action] {
        self.hasFailed = false
        guard let entry = self.entries[id] else { return [] }
        self.leave(id, entry)
        self.entries[id] = nil
        self.counts.open -= 1
        return self.checkDeadlines(now: now)
    }

    /// Records that a new connection could not be accepted.
    package mutating func failed(now: NIODeadline) -> [Action] {
        self.hasFailed = true
        return self.pendingVictim(now: now).map { [self.close($0, .failure)] } ?? []
    }

    /// Allows accepting again, some time after a failure.
    package mutating func retry() { self.hasFailed = false }

    /// Gives free places to waiting connections, and takes places from handshakes that have lasted too long while
    /// others wait.
    package mutating func checkDeadlines(now: NIODeadline) -> [Action] {
        var actions: [Action] = []
        while let address = self.nextTurn() {
            if self.counts.handshakes >= self.limits.handshakes {
                guard let id = self.handshakeVictim(now: now) else { break }
                actions.append(self.close(id, .handshakes))
            }
            self.turns.removeFirst()
            self.addresses[address]?.hasTurn = false
            if let id = self.begin(address, now: now) { actions.append(.begin(id)) }
        }
        return actions
    }

    /// The time when ``look(now:)`` can do more than now, if nothing else happens before.
    package var nextCheck: NIODeadline? {
        guard !self.turns.isEmpty, self.counts.handshakes >= self.limits.handshakes else { return nil }
        let oldest = self.overdueHandshakes.highest?.rank.since ?? self.recentHandshakes.highest?.rank.since
        return oldest.map { $0 + self.limits.handshakeGrace }
    }

    private static func isIn(_ state: State, _ place: Place, _ entries: [ID: Entry]) -> Bool {
        guard let entry = entries[place.id] else { return false }
        return entry.number == place.number && entry.state == state
    }

    /// Removes stale places: those at the ends, and all when there are too many in between.
    private static func trim(
        _ queue: inout CircularBuffer<Place>, _ state: State, _ count: Int, _ entries: [ID: Entry]
    ) {
        while let first = queue.first, !self.isIn(state, first, entries) { queue.removeFirst() }
        while let last = queue.last, !self.isIn(state, last, entries) { queue.removeLast() }
        guard queue.count > 2 * count + self.keptPlaces else { return }
        queue = CircularBuffer(queue.filter { self.isIn(state, $0, entries) })
    }

    /// Returns the address whose turn it is. Turns of addresses without a waiting connection are dropped.
    private mutating func nextTurn() -> NetworkAddress? {
        while let network = self.turns.first {
            if let address = self.addresses[network], address.waitingCount > 0 { return network }
            self.turns.removeFirst()
            guard var address = self.addresses[network] else { continue }
            address.hasTurn = false
            self.put(address, network)
        }
        return nil
    }

    /// Begins the handshake of this address's connection that has waited longest.
    private mutating func begin(_ network: NetworkAddress, now: NIODeadline) -> ID? {
        guard var address = self.addresses.removeValue(forKey: network) else { return nil }
        defer { self.put(address, network) }
        while let place = address.waiting.popFirst() {
            guard Self.isIn(.waiting, place, self.entries) else { continue }
            address.waitingCount -= 1
            address.handshakes.append(place.id)
            self.entries[place.id]?.state = .handshaking
            self.entries[place.id]?.since = now
            self.counts.waiting -= 1
            self.counts.handshakes += 1
            return place.id
        }
        return nil
    }

    /// Stores the address, with a turn if it can use one, or removes it if it has no connection.
    private mutating func put(_ address: Address, _ network: NetworkAddress) {
        var address = address
        let wantsTurn = address.waitingCount > 0 && address.handshakes.count < self.limits.handshakesPerAddress
        if wantsTurn, !address.hasTurn {
            address.hasTurn = true
            self.turns.append(network)
        }
        // An address with a turn is removed when its turn comes.
        let isEmpty = address.waitingCount == 0 && address.handshakes.isEmpty && !address.hasTurn
        self.addresses[network] = isEmpty ? nil : address
        self.waitingRanks.update(network, to: address.waitingCount > 0 ? address.waitingCount : nil)
        // Handshakes are in the order in which they began.
        let oldest = address.handshakes.first.flatMap { self.entries[$0]?.since }
        self.recentHandshakes.update(network, to: oldest.map { OldestHandshakeRank(since: $0) })
        self.overdueHandshakes.update(network, to: nil)
    }

    /// Updates counts and queues when a connection leaves its state.
    private mutating func leave(_ id: ID, _ entry: Entry) {
        switch entry.state {
        case .silent: self.counts.silent -= 1
        case .served: self.counts.served -= 1
        case .closing: break
        case .waiting:
            self.counts.waiting -= 1
            guard var address = self.addresses[entry.address] else { return }
            address.waitingCount -= 1
            self.put(address, entry.address)
            _ = self.nextTurn()
        case .handshaking:
            self.counts.handshakes -= 1
            guard var address = self.addresses[entry.address] else { return }
            address.handshakes.removeAll { $0 == id }
            self.put(address, entry.address)
        }
    }

    private mutating func close(_ id: ID, _ reason: Reason) -> Action {
        if let entry = self.entries[id] {
            self.leave(id, entry)
            self.entries[id]?.state = .closing
        }
        return .close(id, reason)
    }

    /// Returns the pending connection to close.
    private mutating func pendingVictim(now: NIODeadline) -> ID? {
        Self.trim(&self.silent, .silent, self.counts.silent, self.entries)
        let oldestID = self.silent.first?.id
        if let oldestID, let entry = self.entries[oldestID], now - entry.since >= self.limits.silenceGrace {
            return oldestID
        }
        guard let longest = self.waitingRanks.highest, longest.rank > (oldestID == nil ? 0 : 1),
            var address = self.addresses.removeValue(forKey: longest.address)
        else { return oldestID }
        Self.trim(&address.waiting, .waiting, address.waitingCount, self.entries)
        self.addresses[longest.address] = address
        return address.waiting.last?.id
    }

    /// Returns the handshake to close: among the addresses whose oldest handshake may be closed, the oldest one of the
    /// address with the most handshakes; of several such addresses, the oldest of all. Nil while all may continue.
    private mutating func handshakeVictim(now: NIODeadline) -> ID? {
        while let (address, rank) = self.recentHandshakes.highest, now - rank.since >= self.limits.handshakeGrace {
            let count = self.addresses[address]?.handshakes.count ?? 0
            self.recentHandshakes.update(address, to: nil)
            self.overdueHandshakes.update(address, to: HandshakeRank(count: count, since: rank.since))
        }
        return self.overdueHandshakes.highest.flatMap { self.addresses[$0.address]?.handshakes.first }
    }
}

extension ConnectionGateStateMachine.Entry: Sendable where ID: Sendable {}
extension ConnectionGateStateMachine.Place: Sendable where ID: Sendable {}
extension ConnectionGateStateMachine.Address: Sendable where ID: Sendable {}
extension ConnectionGateStateMachine.HandshakeRank: Sendable where ID: Sendable {}
extension ConnectionGateStateMachine.OldestHandshakeRank: Sendable where ID: Sendable {}
extension ConnectionGateStateMachine.Action: Sendable where ID: Sendable {}
extension ConnectionGateStateMachine: Sendable where ID: Sendable {}
