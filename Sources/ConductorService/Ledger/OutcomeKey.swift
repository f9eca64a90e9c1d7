// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC
package import Notifications

/// The key that an outcome is remembered by: its message id and its sender.
///
/// A guest can send any message id, also another guest's. Because the sender is part of the key, an outcome can only be
/// a duplicate of the same guest's outcomes.
package struct OutcomeKey: Sendable, Hashable {
    private let high: UInt64
    private let low: UInt64
    private let sender: UInt64

    /// Creates the key of this guest's outcome with this message id.
    package init(_ messageID: MessageID, from sender: PeerIdentity) {
        var (high, low) = (0 as UInt64, 0 as UInt64)
        for byte in messageID.description.utf8 where byte != UInt8(ascii: "-") {
            high = high << 4 | low >> 60
            // The letters are a to f: a message id is in its canonical form.
            low = low << 4 | UInt64(byte <= UInt8(ascii: "9") ? byte & 15 : (byte & 15) + 9)
        }
        self.high = high
        self.low = low
        self.sender = sender.bits
    }

    /// Whether both keys have the same message id, whatever their senders.
    package func hasSameMessageID(as other: OutcomeKey) -> Bool { self.high == other.high && self.low == other.low }
}
