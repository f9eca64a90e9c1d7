import ConductorRPC

/// What became of the requests that a relay received: at any moment each is in exactly one of the columns.
///
/// Counted is what says that an operation ended, and what could not be read; pings are apart. A request counts as what it
/// was answered with, also when nobody was there any more to hear it.
package struct RelayCounters: Sendable, Hashable {
    /// All of them.
    package private(set) var received = 0
    /// Answered `published`: the broker had confirmed them.
    package private(set) var published = 0
    /// Answered `duplicate`.
    package private(set) var duplicate = 0
    /// Answered `disabled`: the operator has switched their event off.
    package private(set) var disabled = 0
    /// Answered with an error, by its reason; those that are to be sent again are among them.
    package private(set) var rejected: [String: Int] = [:]
    /// Not answered yet.
    package private(set) var inFlight = 0
    /// `ping` requests.
    package private(set) var pings = 0
    /// Fields that guests sent and the event does not declare, by service and operation: they were left out. There are no
    /// more operations than the catalogues have.
    package private(set) var undeclaredFields: [String: Int] = [:]

    /// Signed operations that were forgotten although their tokens are still taken: each could be ended once more.
    package private(set) var forgottenOperations = 0

    /// Counters that stand at nought.
    package init() {}

    /// All that were answered with an error.
    package var rejectedTotal: Int { self.rejected.values.reduce(0, +) }

    /// Whether each request that was received is in one of the columns: what a ledger is for.
    package var isBalanced: Bool {
        self.received == self.published + self.duplicate + self.disabled + self.rejectedTotal + self.inFlight
            && self.inFlight >= 0
    }

    mutating func pinged() { self.pings += 1 }

    mutating func forgotSignedOperation() { self.forgottenOperations += 1 }

    mutating func leftOut(_ fields: Int, of operation: String) {
        self.undeclaredFields[operation, default: 0] += fields
    }

    /// A request was received that is answered later.
    mutating func took() {
        self.received += 1
        self.inFlight += 1
    }

    /// A request was received and is answered so at once.
    mutating func answered(_ disposition: Disposition) {
        self.received += 1
        self.count(disposition)
    }

    /// A request was received and is refused at once.
    mutating func refused(_ code: RPCError.Code) {
        self.received += 1
        self.rejected[code.reason, default: 0] += 1
    }

    /// A request that was taken is answered so.
    mutating func settled(_ disposition: Disposition) {
        self.inFlight -= 1
        self.count(disposition)
    }

    /// Requests that were taken are refused.
    mutating func failed(_ count: Int, _ code: RPCError.Code) {
        self.inFlight -= count
        self.rejected[code.reason, default: 0] += count
    }

    private mutating func count(_ disposition: Disposition) {
        switch disposition {
        case .published: self.published += 1
        case .duplicate: self.duplicate += 1
        case .disabled: self.disabled += 1
        }
    }
}
