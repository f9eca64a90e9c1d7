/// Decides when a server's connection takes requests, reads, and closes. It holds no I/O.
struct ServerConnectionStateMachine {
    /// What to do after an event.
    enum Action: Equatable {
        /// Nothing.
        case none
        /// Take the requests that lie in the buffer, and pass on a read that was held back.
        case resume
        /// Close the connection: all that was taken is answered.
        case close
    }

    /// Why a connection is left alone for a while though nothing is wrong with it.
    struct Hold: OptionSet {
        let rawValue: UInt8
        /// It has had its turn: others of its event loop come first.
        static let turn = Hold(rawValue: 1)
        /// Its peer has sent more than its share.
        static let share = Hold(rawValue: 2)
        /// A long line is being read, and its request prepared, in the background.
        static let longLine = Hold(rawValue: 4)
    }

    private enum State {
        case open
        /// No more requests are taken; the connection closes when all that were taken are answered.
        case draining
        case closed
    }

    private let window: Int
    private let windowBytes: Int
    private var state = State.open
    private var isWritable = true
    private var heldRead = false
    private var holds: Hold = []
    /// Requests that were taken and not yet answered.
    private(set) var inFlight = 0
    private var inFlightBytes = 0

    /// - Parameters:
    ///   - window: how many requests may be in flight.
    ///   - windowBytes: past how many bytes of requests in flight no more are taken.
    init(window: Int, windowBytes: Int = .max) {
        self.window = window
        self.windowBytes = windowBytes
    }

    /// Whether what arrives is worth keeping: once the connection drains or closes nothing more will be taken.
    var keepsInput: Bool {
        guard case .open = self.state else { return false }
        return true
    }

    /// Whether a request may be taken now. A peer that does not read its answers is not read either: its answers
    /// would pile up here.
    var takesRequests: Bool {
        guard case .open = self.state else { return false }
        return self.inFlight < self.window && self.inFlightBytes < self.windowBytes && self.isWritable
            && self.holds.isEmpty
    }

    /// Whether silence is ours: requests are in flight, or the peer is left alone. Not that it does not read its answers.
    var isBusy: Bool { self.inFlight > 0 || !self.holds.isEmpty }

    /// A request of this length was taken.
    mutating func taken(bytes: Int = 0) {
        self.inFlight += 1
        self.inFlightBytes += bytes
    }

    /// Requests of these bytes together were answered.
    mutating func answered(_ count: Int, bytes: Int = 0) -> Action {
        self.inFlight -= count
        self.inFlightBytes -= bytes
        switch self.state {
        case .open: return self.takesRequests ? .resume : .none
        case .draining: return self.inFlight == 0 ? self.close() : .none
        case .closed: return .none
        }
    }

    /// The peer takes answers again, or no longer.
    mutating func writabilityChanged(_ isWritable: Bool) -> Action {
        self.isWritable = isWritable
        return self.takesRequests ? .resume : .none
    }

    /// Nothing is taken or read until ``release(_:)``.
    mutating func hold(_ hold: Hold) { self.holds.insert(hold) }

    /// This reason is gone.
    mutating func release(_ hold: Hold) -> Action {
        self.holds.remove(hold)
        return self.takesRequests ? .resume : .none
    }

    /// A read is wanted.
    ///
    /// - Returns: whether to pass it on; otherwise it is held until the next ``Action/resume``.
    mutating func readRequested() -> Bool {
        self.heldRead = !self.takesRequests
        return !self.heldRead
    }

    /// - Returns: whether a read was held back and should be passed on now.
    mutating func takeHeldRead() -> Bool {
        guard self.heldRead, self.takesRequests else { return false }
        self.heldRead = false
        return true
    }

    /// The server stops: nothing new is taken.
    mutating func drain() -> Action {
        guard case .open = self.state else { return .none }
        self.state = .draining
        return self.inFlight == 0 ? self.close() : .none
    }

    /// The connection is gone.
    mutating func closed() { self.state = .closed }

    private mutating func close() -> Action {
        self.state = .closed
        return .close
    }
}
