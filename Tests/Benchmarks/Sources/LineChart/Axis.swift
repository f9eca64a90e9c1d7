// SPDX-License-Identifier: Apache-2.0

/// An axis with ticks: from zero to a round number, at round numbers; or at given values, at equal distances.
struct Axis {
    /// The places of the ticks in the unit of the axis, in ascending order.
    let ticks: [Double]
    private let isStepped: Bool

    /// - Parameter steps: the values of the axis, in any order.
    init(steps: [Double]) {
        self.ticks = Set(steps).sorted()
        self.isStepped = true
    }

    /// - Parameters:
    ///   - most: the largest value that must fit, in the axis' unit.
    ///   - count: the approximate number of ticks.
    init(most: Double, count: Int) {
        let most = most.isFinite && most > 0 ? most : 1
        let rough = most / Double(max(count, 1))
        let power = Self.power(below: rough)
        let step = power * ([1.0, 2, 2.5, 5].first { $0 * power >= rough } ?? 10)
        self.ticks = (0...Int((most / step).rounded(.up))).map { Double($0) * step }
        self.isStepped = false
    }

    /// Returns the place of a value on the axis, from 0 to 1. With steps, the value must be one of them.
    func position(_ value: Double) -> Double {
        guard self.isStepped else { return value / (self.ticks.last ?? 1) }
        let step = self.ticks.firstIndex(of: value) ?? 0
        return (Double(step) + 0.5) / Double(max(self.ticks.count, 1))
    }

    /// Returns the text of a tick: `2,500`, `0.25`.
    static func text(_ value: Double) -> String {
        let hundredths = (value * 100).rounded()
        guard hundredths.truncatingRemainder(dividingBy: 100) == 0 else {
            let fraction = "\(Int(hundredths) % 100 + 100)".dropFirst()
            let digits = fraction.hasSuffix("0") ? fraction.dropLast() : fraction
            return "\(self.grouped(Int(hundredths) / 100)).\(digits)"
        }
        return self.grouped(Int(hundredths) / 100)
    }

    private static func grouped(_ value: Int) -> String {
        let digits = Array("\(value)")
        return digits.indices.map { (digits.count - $0) % 3 == 0 && $0 > 0 ? ",\(digits[$0])" : "\(digits[$0])" }
            .joined()
    }

    /// Returns the largest power of ten that is not above the value.
    private static func power(below value: Double) -> Double {
        var power = 1.0
        while power > value { power /= 10 }
        while power * 10 <= value { power *= 10 }
        return power
    }
}
