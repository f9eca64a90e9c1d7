// SPDX-License-Identifier: Apache-2.0

/// A state machine that decides when a server's connection accepts requests, reads, and closes. It performs no I/O.
struct ServerConnectionStateMachine {
    /// The action after an event.
    enum Action: Equatable {
        /// Nothing.
        case none
        /// Process the requests in the buffer, and forward a read that was held back.
        case resume
        /// Close the connection: all accepted requests are answered.
        case close
    }

    /// The reasons why a connection is paused although nothing is wrong with it.
    struct Hold: OptionSet {
        let rawValue: UInt8
        /// It has had its turn: other connections of its event loop come first.
        static let turn = Hold(rawValue: 1)
        /// Its peer has reached its rate limit.
        static let rateLimiter = Hold(rawValue: 2)
        /// A long line is being read, and its request prepared, in the background.
        static let longLine = Hold(rawValue: 4)
    }

    private enum State {
        case open
        /// No more requests are accepted; the connection closes when all accepted ones are answered.
        case draining
        case closed
    }

    private let window: Int
    private let windowBytes: Int
    private var state = State.open
    private var isWritable = true
    private var heldRead = false
    private var holds: Hold = []
    /// The number of requests that were accepted and not yet answered.
    private(set) var inFlight = 0
    private var inFlightBytes = 0

    /// - Parameters:
    ///   - window: the maximum number of requests in flight.
    ///   - windowBytes: the number of bytes of requests in flight at which no more requests are accepted.
    init(window: Int, windowBytes: Int = .max) {
        self.window = window
        self.windowBytes = windowBytes
    }

    /// Whether arriving input is kept. Once the connection drains or closes, no more is processed.
    var keepsInput: Bool {
        guard case .open = self.state else { return false }
        return true
    }

    /// Whether a request may be accepted now. A peer that does not read its answers is not read either: its answers
    /// would accumulate here.
    var acceptsRequests: Bool {
        guard case .open = self.state else { return false }
        return self.inFlight < self.window && self.inFlightBytes < self.windowBytes && self.isWritable
            && self.holds.isEmpty
    }

    /// Whether this side causes the silence: requests are in flight, or the connection is paused. That a peer does not
    /// read its answers does not count.
    var isBusy: Bool { self.inFlight > 0 || !self.holds.isEmpty }

    /// Records that a request of this length was accepted.
    mutating func accepted(bytes: Int = 0) {
        self.inFlight += 1
        self.inFlightBytes += bytes
    }

    /// Records that this many requests, of these bytes together, were answered.
    mutating func answered(_ count: Int, bytes: Int = 0) -> Action {
        self.inFlight -= count
        self.inFlightBytes -= bytes
        switch self.state {
        case .open: return self.acceptsRequests ? .resume : .none
        case .draining: return self.inFlight == 0 ? self.close() : .none
        case .closed: return .none
        }
    }

    /// Records whether the peer reads its answers.
    mutating func writabilityChanged(_ isWritable: Bool) -> Action {
        self.isWritable = isWritable
        return self.acceptsRequests ? .resume : .none
    }

    /// Pauses the connection: no request is accepted or read until ``release(_:)``.
    mutating func hold(_ hold: Hold) { self.holds.insert(hold) }

    /// Removes this reason for a pause.
    mutating func release(_ hold: Hold) -> Action {
        self.holds.remove(hold)
        return self.acceptsRequests ? .resume : .none
    }

    /// Records that a read is requested.
    ///
    /// - Returns: whether to forward it; otherwise it is held back until the next ``Action/resume``.
    mutating func readRequested() -> Bool {
        self.heldRead = !self.acceptsRequests
        return !self.heldRead
    }

    /// - Returns: whether a read was held back and is to be forwarded now.
    mutating func takeHeldRead() -> Bool {
        guard self.heldRead, self.acceptsRequests else { return false }
        self.heldRead = false
        return true
    }

    /// Stops accepting requests. The connection closes once all accepted ones are answered.
    mutating func drain() -> Action {
        guard case .open = self.state else { return .none }
        self.state = .draining
        return self.inFlight == 0 ? self.close() : .none
    }

    /// Records that the connection is closed.
    mutating func closed() { self.state = .closed }

    private mutating func close() -> Action {
        self.state = .closed
        return .close
    }
}
