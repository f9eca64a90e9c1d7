// SPDX-License-Identifier: Apache-2.0

import ConductorRPC

/// Counters of the requests that a relay received. At any moment each request is in exactly one of the columns.
///
/// The columns count reports of outcomes, and requests that could not be read. Pings are counted separately. A request
/// counts by its answer, even if its guest disconnected before the answer.
package struct RelayCounters: Sendable, Hashable {
    /// All requests that were received.
    package private(set) var received = 0
    /// Requests answered `published`: the broker had confirmed their outcomes.
    package private(set) var published = 0
    /// Requests answered `duplicate`.
    package private(set) var duplicate = 0
    /// Requests answered `disabled`: the operator has switched their event off.
    package private(set) var disabled = 0
    /// Requests answered with an error, by its reason, including those that the guest is to send again.
    package private(set) var rejected: [String: Int] = [:]
    /// Requests not answered yet.
    package private(set) var inFlight = 0
    /// `ping` requests.
    package private(set) var pings = 0
    /// Fields that guests sent and that the event does not declare, by service and operation. They were left out. There
    /// are at most as many entries as the catalogues have operations.
    package private(set) var undeclaredFields: [String: Int] = [:]

    /// Signed operations that were forgotten although their tokens are still accepted. Each could be ended once more.
    package private(set) var forgottenOperations = 0

    /// Creates counters that are zero.
    package init() {}

    /// The number of requests answered with an error.
    package var rejectedTotal: Int { self.rejected.values.reduce(0, +) }

    /// Whether the columns add up to ``received``: the invariant of the ledger.
    package var isBalanced: Bool {
        self.received == self.published + self.duplicate + self.disabled + self.rejectedTotal + self.inFlight
            && self.inFlight >= 0
    }

    mutating func countPing() { self.pings += 1 }

    mutating func countForgottenOperation() { self.forgottenOperations += 1 }

    mutating func countUndeclared(_ fields: Int, of operation: String) {
        self.undeclaredFields[operation, default: 0] += fields
    }

    /// Counts a request that is received now and answered later.
    mutating func countAccepted() {
        self.received += 1
        self.inFlight += 1
    }

    /// Counts a request that is received now and answered at once with this disposition.
    mutating func countAnswered(_ disposition: Disposition) {
        self.received += 1
        self.count(disposition)
    }

    /// Counts a request that is received now and rejected at once.
    mutating func countRejection(_ code: RPCError.Code) {
        self.received += 1
        self.rejected[code.reason, default: 0] += 1
    }

    /// Counts the answer to a request in flight.
    mutating func countCompleted(_ disposition: Disposition) {
        self.inFlight -= 1
        self.count(disposition)
    }

    /// Counts the rejection of this many requests in flight.
    mutating func countFailed(_ count: Int, _ code: RPCError.Code) {
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
