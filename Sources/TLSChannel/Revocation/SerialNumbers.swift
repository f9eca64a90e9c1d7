// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL

/// The sorted serial numbers of a revocation list, in contiguous memory: each takes about its own length.
struct SerialNumbers: Sendable {
    /// The numbers, one after the other: the magnitude, most significant byte first and without leading zeros, then 1
    /// for a negative number and 0 for any other.
    private var bytes: [UInt8] = []
    /// The offset in `bytes` at which each number ends.
    private var ends: [UInt32] = []

    /// Creates an empty list.
    init() {}

    /// The number of serial numbers; one that is listed twice counts twice.
    var count: Int { self.ends.count }

    /// Returns the key that a number is stored and looked up by.
    static func key(of number: UnsafePointer<ASN1_INTEGER>) -> [UInt8] {
        PeerCertificate.bytes(number).drop { $0 == 0 } + [ASN1_STRING_type(number) & V_ASN1_NEG == 0 ? 0 : 1]
    }

    /// Adds a number. Call ``sort()`` after the last one.
    mutating func append(_ key: [UInt8]) {
        self.bytes += key
        self.ends.append(UInt32(self.bytes.count))
    }

    /// Sorts the numbers, which ``contains(_:)`` requires. Numbers that were added in order, as OpenSSL returns them,
    /// are only checked.
    mutating func sort() {
        let places = self.bytes.withUnsafeBytes { bytes -> [Range<Int>]? in
            let places = self.ends.indices.map(self.place)
            let isSorted = !zip(places, places.dropFirst()).contains { Self.order(bytes[$1], bytes[$0]) < 0 }
            return isSorted ? nil : places.sorted { Self.order(bytes[$0], bytes[$1]) < 0 }
        }
        guard let places else { return }
        var sorted = SerialNumbers()
        sorted.bytes.reserveCapacity(self.bytes.count)
        sorted.ends.reserveCapacity(self.ends.count)
        for place in places { sorted.append(Array(self.bytes[place])) }
        self = sorted
    }

    /// Whether the number is listed: a binary search.
    func contains(_ key: [UInt8]) -> Bool {
        key.withUnsafeBytes { wanted in
            self.bytes.withUnsafeBytes { bytes in
                var range = 0..<self.ends.count
                while !range.isEmpty {
                    let middle = range.lowerBound + range.count / 2
                    let order = Self.order(bytes[self.place(middle)], wanted[...])
                    if order == 0 { return true }
                    range = order < 0 ? middle + 1..<range.upperBound : range.lowerBound..<middle
                }
                return false
            }
        }
    }

    private func place(_ index: Int) -> Range<Int> {
        (index == 0 ? 0 : Int(self.ends[index - 1]))..<Int(self.ends[index])
    }

    /// Compares two numbers: the shorter one is first, those of equal length are compared byte by byte. This is
    /// OpenSSL's order.
    private static func order(_ one: Slice<UnsafeRawBufferPointer>, _ other: Slice<UnsafeRawBufferPointer>) -> Int {
        guard one.count == other.count else { return one.count - other.count }
        guard let difference = zip(one, other).first(where: { $0 != $1 }) else { return 0 }
        return Int(difference.0) - Int(difference.1)
    }
}
