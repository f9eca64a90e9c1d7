// SPDX-License-Identifier: Apache-2.0

package import ContextSigning
import NIOConcurrencyHelpers

/// The keys that contexts may be signed with now. A context is checked by the keys that are in use when it arrives.
package final class LiveSigningKeys: Sendable {
    private let keys: NIOLockedValueBox<SigningKeySet>

    /// Creates an instance with these keys.
    package init(_ keys: SigningKeySet) { self.keys = NIOLockedValueBox(keys) }

    /// The keys in use.
    package var current: SigningKeySet { self.keys.withLockedValue { $0 } }

    /// Replaces the keys in use.
    package func replace(with keys: SigningKeySet) { self.keys.withLockedValue { $0 = keys } }
}
