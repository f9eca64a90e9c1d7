// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The user namespace that this program runs in.
enum UserNamespace {
    /// The user ID that files of root have in this namespace if root is not mapped into it, as in one that an
    /// unprivileged user has created: the overflow ID. nil if root is mapped, or if the overflow ID is that of a mapped
    /// user.
    ///
    /// Every other user that is not mapped has the same ID, so their files look like files of root.
    static let root: uid_t? = {
        // A namespace with many ranges has a longer map: at most 340 lines.
        guard let map = Self.text("/proc/self/uid_map", limit: 16 << 10) else { return nil }
        let overflow = Self.text("/proc/sys/kernel/overflowuid", limit: 16).flatMap { uid_t($0.filter(\.isNumber)) }
        return Self.root(map: map, overflow: overflow ?? 65_534)
    }()

    /// Returns the overflow ID if root is not mapped and no mapped user has that ID; nil otherwise.
    ///
    /// - Parameters:
    ///   - map: lines of three numbers: the first user ID in this namespace, the same user's ID in the parent, and the
    ///     length of the range.
    ///   - overflow: the ID of users that are not mapped.
    static func root(map: String, overflow: uid_t) -> uid_t? {
        for line in map.split(separator: "\n") {
            let numbers = line.split(separator: " ").compactMap { UInt64($0) }
            guard numbers.count == 3 else { return nil }
            let isRoot = numbers[1] == 0 && numbers[2] > 0
            // A user of this namespace has the overflow ID.
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
