// SPDX-License-Identifier: Apache-2.0

extension Array where Element: Comparable {
    /// Returns the element of a sorted array that this percentage of the elements precede; nil if the array is empty.
    package func percentile(_ percent: Int) -> Element? {
        self.isEmpty ? nil : self[Swift.min(self.count - 1, self.count * percent / 100)]
    }
}
