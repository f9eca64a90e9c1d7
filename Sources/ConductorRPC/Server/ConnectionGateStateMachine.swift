package import NIOCore

/// Decides which new connections may begin their handshake, which wait, and which are closed so that newcomers get on. It holds
/// no I/O and no clock.
///
/// A connection is silent until its ClientHello is complete; then it waits for a place among the handshakes; then its handshake is
/// under way; then it is served. Places are given to addresses in turn, one that has as many as it may is passed over, and no
/// state lets a peer hold back those of other addresses:
///
/// - When too many are pending (silent or waiting), the oldest silent one is closed: whoever has something to say has said it since.
///   While none has been silent for longer than an honest ClientHello takes to come, it is the newest one of the address that has
///   most waiting, if that has several.
/// - When all places are taken and a connection waits, a handshake is closed that has lasted longer than an honest one takes: of
///   the addresses whose oldest handshake has, that of the address with most handshakes.
package struct ConnectionGateStateMachine<ID: Hashable> {
    /// How many connections may be in each state.
    package struct Limits: Sendable {
        /// Connections that are silent or wait.
        package var pending: Int
        /// Handshakes under way.
        package var handshakes: Int
        /// Handshakes under way of one address.
        package var handshakesPerAddress: Int
        /// How long a connection may be silent before it is closed rather than one of several that wait.
        package var silenceGrace = TimeAmount.milliseconds(250)
        /// How long a handshake has its place for certain: several times as long as it takes when all places are taken by honest
        /// peers at once.
        package var handshakeGrace = TimeAmount.seconds(3)

        /// Limits of these values.
        ///
        /// - Parameter handshakesPerAddress: nil for the default: a thirty-second of all, and at least 4.
        package init(pending: Int, handshakes: Int, handshakesPerAddress: Int? = nil) {
            self.pending = pending
            self.handshakes = handshakes
            self.handshakesPerAddress = handshakesPerAddress ?? max(4, handshakes / 32)
        }
    }

    /// Why a connection is closed.
    package enum Reason: Sendable {
        /// Too many were pending.
        case pending
        /// Another address waited for its place.
        case handshakes
        /// No descriptor was left for a newcomer.
        case failure
    }

    /// What to do with a connection.
    package enum Action: Equatable {
        /// Begin its handshake.
        case begin(ID)
        /// Close it.
        case close(ID, Reason)
    }

    /// How many connections are in each state.
    package struct Counts: Sendable, Equatable {
        /// Those whose ClientHello is not complete.
        package var silent = 0
        /// Those that wait for a place.
        package var waiting = 0
        /// Those whose handshake is under way.
        package var handshakes = 0
        /// Those whose handshake is done.
        package var served = 0
        /// All that are not closed, those that are being closed among them.
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
        /// Tells it from an earlier connection of the same name.
        var number: UInt64
        /// When its state began.
        var since: NIODeadline
    }

    /// A place in a queue; it means nothing any more when the connection has changed its state since.
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

    /// Ranks addresses by their handshakes: the highest has most of them, and of several such the oldest one.
    fileprivate struct HandshakeRank: Comparable {
        var count: Int
        /// When the oldest began.
        var since: NIODeadline

        static func < (left: Self, right: Self) -> Bool {
            left.count < right.count || left.count == right.count && left.since > right.since
        }
    }

    /// Ranks addresses by their oldest handshake: the highest has the oldest of all.
    fileprivate struct OldestFirst: Comparable {
        var since: NIODeadline

        static func < (left: Self, right: Self) -> Bool { left.since > right.since }
    }

    /// A queue may have so many places that mean nothing, and as many as it has that do.
    private static var keptPlaces: Int { 64 }

    private let limits: Limits
    private var entries: [ID: Entry] = [:]
    private var addresses: [NetworkAddress: Address] = [:]
    /// In the order they came.
    private var silent = CircularBuffer<Place>()
    /// Addresses that have a connection waiting and a place of their own free. The first has one for certain; others may have lost it.
    private var turns = CircularBuffer<NetworkAddress>()
    /// Addresses by how many connections they have waiting.
    private var waitingRanks = RankedAddresses<Int>()
    /// Addresses with unfinished handshakes, except those in ``overdueHandshakes``.
    private var recentHandshakes = RankedAddresses<OldestFirst>()
    /// Those whose oldest handshake was found to have had its place for long enough, and has not changed since.
    private var overdueHandshakes = RankedAddresses<HandshakeRank>()
    private var lastNumber: UInt64 = 0
    private var hasFailed = false

    /// How many connections are in each state.
    package private(set) var counts = Counts()

    /// - Parameter limits: how many connections may be in each state.
    package init(_ limits: Limits) { self.limits = limits }

    /// Whether connections are accepted: always, unless the last attempt has failed for want of descriptors or memory.
    package var isAccepting: Bool { !self.hasFailed }

    /// How many addresses are remembered: those with a connection that waits or whose handshake has not ended.
    package var addressCount: Int { self.addresses.count }

    /// How many handshakes this address has under way.
    package func handshakeCount(of address: NetworkAddress) -> Int { self.addresses[address]?.handshakes.count ?? 0 }

    /// How many places the queues have, those among them that mean nothing any more.
    var placeCount: Int { self.addresses.values.reduce(self.silent.count) { $0 + $1.waiting.count } }

    /// A connection was accepted, and has said nothing.
    package mutating func accepted(_ id: ID, from address: NetworkAddress, now: NIODeadline) -> [Action] {
        self.lastNumber += 1
        self.entries[id] = Entry(address: address, state: .silent, number: self.lastNumber, since: now)
        self.silent.append(Place(id: id, number: self.lastNumber))
        self.counts.silent += 1
        self.counts.open += 1
        // Without this the queue would keep all that ever came.
        Self.trim(&self.silent, .silent, self.counts.silent, self.entries)
        var actions: [Action] = []
        while self.counts.silent + self.counts.waiting > self.limits.pending, let id = self.pendingVictim(now: now) {
            actions.append(self.close(id, .pending))
        }
        return actions
    }

    /// A connection's ClientHello is complete.
    package mutating func helloCompleted(_ id: ID, now: NIODeadline) -> [Action] {
        guard var entry = self.entries[id], entry.state == .silent else { return [] }
        entry.state = .waiting
        entry.since = now
        self.entries[id] = entry
        self.counts.silent -= 1
        self.counts.waiting += 1
        // Taken out, so that its queue is not copied.
        var address = self.addresses.removeValue(forKey: entry.address) ?? Address()
        Self.trim(&address.waiting, .waiting, address.waitingCount, self.entries)
        address.waiting.append(Place(id: id, number: entry.number))
        address.waitingCount += 1
        self.put(address, entry.address)
        return self.look(now: now)
    }

    /// A connection's handshake is done; one that fails closes its connection.
    package mutating func handshakeCompleted(_ id: ID, now: NIODeadline) -> [Action] {
        guard let entry = self.entries[id], entry.state == .handshaking else { return [] }
        self.leave(id, entry)
        self.entries[id]?.state = .served
        self.counts.served += 1
        return self.look(now: now)
    }

    /// A connection is closed, and its descriptor is free.
    package mutating func closed(_ id: ID, now: NIODeadline) -> [Action] {
        self.hasFailed = false
        guard let entry = self.entries[id] else { return [] }
        self.leave(id, entry)
        self.entries[id] = nil
        self.counts.open -= 1
        return self.look(now: now)
    }

    /// No connection could be accepted although one was there.
    package mutating func failed(now: NIODeadline) -> [Action] {
        self.hasFailed = true
        return self.pendingVictim(now: now).map { [self.close($0, .failure)] } ?? []
    }

    /// Time has passed since: it is tried again.
    package mutating func retry() { self.hasFailed = false }

    /// Gives free places to those who wait, and takes places from those who have had theirs for too long while others wait.
    package mutating func look(now: NIODeadline) -> [Action] {
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

    /// When ``look(now:)`` can do more than now, if nothing else happens before.
    package var nextLook: NIODeadline? {
        guard !self.turns.isEmpty, self.counts.handshakes >= self.limits.handshakes else { return nil }
        let oldest = self.overdueHandshakes.highest?.rank.since ?? self.recentHandshakes.highest?.rank.since
        return oldest.map { $0 + self.limits.handshakeGrace }
    }

    private static func isIn(_ state: State, _ place: Place, _ entries: [ID: Entry]) -> Bool {
        guard let entry = entries[place.id] else { return false }
        return entry.number == place.number && entry.state == state
    }

    /// Removes places that mean nothing any more: those at the ends, and all when there are too many between.
    private static func trim(
        _ queue: inout CircularBuffer<Place>, _ state: State, _ count: Int, _ entries: [ID: Entry]
    ) {
        while let first = queue.first, !self.isIn(state, first, entries) { queue.removeFirst() }
        while let last = queue.last, !self.isIn(state, last, entries) { queue.removeLast() }
        guard queue.count > 2 * count + self.keptPlaces else { return }
        queue = CircularBuffer(queue.filter { self.isIn(state, $0, entries) })
    }

    /// The address whose turn it is. Turns of those with nothing waiting any more are passed over for good.
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

    /// Begins the handshake of the one of this address that has waited longest.
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

    /// Stores the address, with a turn if it can use one, or forgets it if it has no connection.
    private mutating func put(_ address: Address, _ network: NetworkAddress) {
        var address = address
        let wantsTurn = address.waitingCount > 0 && address.handshakes.count < self.limits.handshakesPerAddress
        if wantsTurn, !address.hasTurn {
            address.hasTurn = true
            self.turns.append(network)
        }
        // An address with a turn is forgotten when that comes.
        let isEmpty = address.waitingCount == 0 && address.handshakes.isEmpty && !address.hasTurn
        self.addresses[network] = isEmpty ? nil : address
        self.waitingRanks.update(network, to: address.waitingCount > 0 ? address.waitingCount : nil)
        // They are in the order they began.
        let oldest = address.handshakes.first.flatMap { self.entries[$0]?.since }
        self.recentHandshakes.update(network, to: oldest.map { OldestFirst(since: $0) })
        self.overdueHandshakes.update(network, to: nil)
    }

    /// A connection leaves its state.
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

    /// The pending connection to close.
    private mutating func pendingVictim(now: NIODeadline) -> ID? {
        Self.trim(&self.silent, .silent, self.counts.silent, self.entries)
        let oldestID = self.silent.first?.id
        if let oldestID, let entry = self.entries[oldestID], now - entry.since >= self.limits.silenceGrace {
            return oldestID
        }
        guard let fullest = self.waitingRanks.highest, fullest.rank > (oldestID == nil ? 0 : 1),
            var address = self.addresses.removeValue(forKey: fullest.address)
        else { return oldestID }
        Self.trim(&address.waiting, .waiting, address.waitingCount, self.entries)
        self.addresses[fullest.address] = address
        return address.waiting.last?.id
    }

    /// Of the addresses whose oldest handshake may be closed, that of the address with most handshakes; of several such addresses, the
    /// oldest of all. Nil while all may go on.
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
extension ConnectionGateStateMachine.OldestFirst: Sendable where ID: Sendable {}
extension ConnectionGateStateMachine.Action: Sendable where ID: Sendable {}
extension ConnectionGateStateMachine: Sendable where ID: Sendable {}
