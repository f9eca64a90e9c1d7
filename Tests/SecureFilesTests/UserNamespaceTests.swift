// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import SecureFiles

@Suite("Files without an owner in the user namespace")
struct UserNamespaceTests {
    @Test(
        "Files of root have the overflow user only where the namespace does not map root",
        arguments: [
            ("         0          0 4294967295\n", nil), ("0 0 1\n", nil), ("5 0 1\n1000 1000 1\n", nil),
            ("1000 1000 1\n0 0 1\n", nil), ("         0       1000          1\n", 65_534), ("1000 1000 1\n", 65_534),
            ("0 1000 1\n1 100000 65536\n", nil), ("0 100000 1000\n", 65_534), ("", 65_534), ("nonsense\n", nil),
        ] as [(String, uid_t?)])
    func root(map: String, expected: uid_t?) { #expect(UserNamespace.root(map: map, overflow: 65_534) == expected) }
}
