package import ContextSigning
import NIOConcurrencyHelpers

/// The keys that contexts may be signed with at this moment: a context is checked by those that are in use when it comes.
package final class LiveSigningKeys: Sendable {
    private let keys: NIOLockedValueBox<SigningKeySet>

    /// Begins with these.
    package init(_ keys: SigningKeySet) { self.keys = NIOLockedValueBox(keys) }

    /// The keys in use.
    package var current: SigningKeySet { self.keys.withLockedValue { $0 } }

    /// Takes these in the place of the present ones.
    package func replace(with keys: SigningKeySet) { self.keys.withLockedValue { $0 = keys } }
}
