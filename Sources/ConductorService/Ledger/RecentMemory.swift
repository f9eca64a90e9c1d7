/// The last values that were remembered, by a key each; the oldest is forgotten first. It holds no more than its limit, and
/// takes the memory for that at once: to grow would mean to move all of it with a lock held.
package struct RecentMemory<Key: Hashable, Value> {
    /// How many are remembered at most.
    package let limit: Int
    private var values: [Key: Value] = [:]
    /// The keys in the order in which they came, the oldest at `oldest` once there are as many as the limit.
    private var ring: [Key] = []
    private var oldest = 0

    /// - Parameter limit: how many are remembered at most; with 0 none is.
    package init(limit: Int) {
        self.limit = limit
        self.values.reserveCapacity(limit)
        self.ring.reserveCapacity(limit)
    }

    /// How many are remembered.
    package var count: Int { self.ring.count }

    /// The value of this key; nil when it was never remembered, or is forgotten.
    package subscript(key: Key) -> Value? { self.values[key] }

    /// Remembers a value.
    ///
    /// One in the place of another under its key keeps that one's age: what comes again and again pushes nothing out.
    ///
    /// - Returns: what was forgotten for it.
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

extension RecentMemory: Sendable where Key: Sendable, Value: Sendable {}
