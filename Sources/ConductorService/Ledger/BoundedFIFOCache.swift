// SPDX-License-Identifier: Apache-2.0

/// A bounded FIFO cache of the last values that were remembered, one for each key. The oldest value is forgotten first.
///
/// The memory for `limit` values is allocated at once, because growing would move all values while a lock is held.
package struct BoundedFIFOCache<Key: Hashable, Value> {
    /// The maximum number of values.
    package let limit: Int
    private var values: [Key: Value] = [:]
    /// The keys in the order in which they came. Once there are `limit` keys, the oldest one is at index `oldest`.
    private var ring: [Key] = []
    private var oldest = 0

    /// - Parameter limit: the maximum number of values. With 0 none is remembered.
    package init(limit: Int) {
        self.limit = limit
        self.values.reserveCapacity(limit)
        self.ring.reserveCapacity(limit)
    }

    /// The number of values.
    package var count: Int { self.ring.count }

    /// The value for this key; nil if none was remembered, or it is forgotten.
    package subscript(key: Key) -> Value? { self.values[key] }

    /// Remembers a value.
    ///
    /// A value that replaces another one under its key keeps that one's age, so a key that comes repeatedly evicts no
    /// other.
    ///
    /// - Returns: the value that was forgotten to make space. With a limit of 0 that is `value` itself.
    @discardableResult
    package mutating func remember(_ value: Value, for key: Key) -> Value? {
        guard self.limit > 0 else { return value }
        guard self.values.updateValue(value, forKey: key) == nil else { return nil }
        guard self.ring.count == self.limit else {
            self.ring.append(key)
            return nil
        }
        let forgotten = self.values.removeValue(forKey: self.ring[self.oldest])
        self.ring[self.oldest] = key
        self.oldest = (self.oldest + 1) % self.limit
        return forgotten
    }
}

extension BoundedFIFOCache: Sendable where Key: Sendable, Value: Sendable {}
