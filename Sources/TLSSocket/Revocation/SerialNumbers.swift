import CConductorOpenSSL

/// The serial numbers of a revocation list, sorted, in one piece of memory: about their own length each.
struct SerialNumbers: Sendable {
    /// One after the other: the magnitude, most significant byte first and without leading zeros, then 1 for a negative number
    /// and 0 for any other.
    private var bytes: [UInt8] = []
    /// Where each ends.
    private var ends: [UInt32] = []

    /// None.
    init() {}

    /// How many they are; one that is listed twice counts twice.
    var count: Int { self.ends.count }

    /// What a number is looked up by.
    static func key(of number: UnsafePointer<ASN1_INTEGER>) -> [UInt8] {
        PeerCertificate.bytes(number).drop { $0 == 0 } + [ASN1_STRING_type(number) & V_ASN1_NEG == 0 ? 0 : 1]
    }

    /// Adds one; after the last comes ``sort()``.
    mutating func append(_ key: [UInt8]) {
        self.bytes += key
        self.ends.append(UInt32(self.bytes.count))
    }

    /// Makes ``contains(_:)`` work. Numbers that came in order, as OpenSSL hands them out, are only looked through.
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

    /// Whether it is one of them: as many comparisons as the logarithm of their count.
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

    /// The shorter first, those of one length byte by byte: OpenSSL's order.
    private static func order(_ one: Slice<UnsafeRawBufferPointer>, _ other: Slice<UnsafeRawBufferPointer>) -> Int {
        guard one.count == other.count else { return one.count - other.count }
        guard let difference = zip(one, other).first(where: { $0 != $1 }) else { return 0 }
        return Int(difference.0) - Int(difference.1)
    }
}
