// SPDX-License-Identifier: Apache-2.0

import ConductorService
import RandomTesting
import Testing

/// The cache is bounded, and removes the oldest value first.
@Suite struct BoundedFIFOCacheTests {
    @Test("The oldest value is removed first", arguments: [1, 2, 7, 64])
    func evictionOrder(limit: Int) {
        var memory = BoundedFIFOCache<Int, String>(limit: limit)
        for key in 0..<(5 * limit + 3) {
            memory.remember("\(key)", for: key)
            #expect(memory.count == min(key + 1, limit))
            #expect(
                memory[key] == "\(key)" && memory[key - limit + 1] == (key < limit - 1 ? nil : "\(key - limit + 1)"))
            #expect(memory[key - limit] == nil)
        }
    }

    @Test("A key that is stored again keeps its age and has the new value")
    func repeatedKey() {
        var memory = BoundedFIFOCache<String, Int>(limit: 2)
        for (key, value) in [("a", 1), ("b", 2), ("a", 3), ("a", 4)] { memory.remember(value, for: key) }
        #expect(memory.count == 2 && memory["a"] == 4 && memory["b"] == 2)
        memory.remember(5, for: "c")
        #expect(memory["a"] == nil && memory["b"] == 2 && memory["c"] == 5)
        // A key that was removed is new.
        memory.remember(6, for: "a")
        #expect(memory["b"] == nil && memory["a"] == 6 && memory.count == 2)
    }

    @Test("With a limit of zero, nothing is stored")
    func zeroLimit() {
        var memory = BoundedFIFOCache<Int, Int>(limit: 0)
        for key in [1, 1, 2] { memory.remember(0, for: key) }
        #expect(memory.count == 0 && memory[1] == nil && memory.limit == 0)
    }

    /// Compares the cache with a list that is searched.
    @Test("The cache has the same values as a list of the last keys", arguments: 1...3 as ClosedRange<UInt64>)
    func comparisonWithList(seed: UInt64) {
        var generator = Seeded(seed)
        var (memory, model) = (BoundedFIFOCache<Int, Int>(limit: 5), [(key: Int, value: Int)]())
        for value in 0..<2000 {
            let key = Int.random(in: 0..<12, using: &generator)
            memory.remember(value, for: key)
            if let index = model.firstIndex(where: { $0.key == key }) {
                model[index].value = value
            } else {
                model = model.suffix(4) + [(key, value)]
            }
            #expect(memory.count == model.count)
            for key in 0..<12 { #expect(memory[key] == model.first { $0.key == key }?.value) }
        }
    }
}
