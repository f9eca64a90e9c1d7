import Glibc

/// The user namespace that this program runs in.
enum UserNamespace {
    /// The number that root's files have here where root has none of its own, as in a namespace that an unprivileged user has
    /// made; nil where root has one.
    ///
    /// Every other user without a number here has the same, so that a file of theirs looks like one of root's.
    static let root: uid_t? = {
        // Longer for a namespace with many ranges: at most 340 lines.
        guard let map = Self.text("/proc/self/uid_map", limit: 16 << 10) else { return nil }
        let overflow = Self.text("/proc/sys/kernel/overflowuid", limit: 16).flatMap { uid_t($0.filter(\.isNumber)) }
        return Self.root(map: map, overflow: overflow ?? 65_534)
    }()

    /// - Parameters:
    ///   - map: lines of three numbers: the first user in this namespace, the same user in the parent, and how many there are.
    ///   - overflow: the number that users without one have.
    static func root(map: String, overflow: uid_t) -> uid_t? {
        for line in map.split(separator: "\n") {
            let numbers = line.split(separator: " ").compactMap { UInt64($0) }
            guard numbers.count == 3 else { return nil }
            let isRoot = numbers[1] == 0 && numbers[2] > 0
            // A user of this namespace has it as a number.
            let isTaken = numbers[0] <= UInt64(overflow) && UInt64(overflow) < numbers[0] + numbers[2]
            if isRoot || isTaken { return nil }
        }
        return overflow
    }

    private static func text(_ path: String, limit: Int) -> String? {
        guard let bytes = try? FileContents(path, limit: limit).bytes else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}
