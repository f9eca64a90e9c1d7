// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC

/// The ledger's knowledge of an outcome that has arrived. Its state machines share these cases, and each uses some of
/// them.
package enum OutcomeStatus: Sendable, Hashable {
    /// The outcome is new: publish it.
    case new
    /// The same outcome is already in flight to the broker.
    case inFlight
    /// The same outcome may have reached the broker, which has not confirmed it: publish it again.
    case unconfirmed
    /// The same outcome was confirmed before.
    case confirmed
    /// Another outcome was sent with this message id.
    case conflicting
    /// Another outcome of its signed operation is in flight, and may fail. Where no outcomes are remembered, it may be
    /// the same outcome that is in flight.
    case otherInFlight
    /// Another outcome of its signed operation may have reached the broker. Only that one may be sent again.
    case otherUnconfirmed
    /// Another outcome has already ended its signed operation.
    case otherConfirmed
    /// The signature has expired, and this outcome was not published before that.
    case expired
}

/// The result of publishing an outcome.
package enum PublishResult: Sendable, Hashable {
    /// The broker confirmed the outcome.
    case confirmed
    /// The broker did not confirm the outcome, but may have received it. The guest is answered with this error.
    case unconfirmed(RPCError.Code)
    /// Certainly no part of the outcome reached the broker. The guest is answered with this error.
    case unsent(RPCError.Code)
}
