// SPDX-License-Identifier: Apache-2.0

import HostNames
import Testing

@Suite struct HostNameOctetsTests {
    @Test("An IPv4 address has four octets, and an IPv6 address without a zone has sixteen")
    func octets() {
        #expect(HostName("192.0.2.1").ipv4Octets == [192, 0, 2, 1])
        #expect(HostName("192.0.2.1").ipv6Octets == nil)
        #expect(HostName("2001:db8::1").ipv6Octets == [0x20, 1, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1])
        #expect(HostName("2001:db8::1").ipv4Octets == nil)
    }

    @Test(
        "Other text has no octets", arguments: ["", "192.0.2", "192.0.2.256", "[::1]", "fe80::1%eth0", "edge.example"])
    func otherText(text: String) {
        #expect(HostName(text).ipv4Octets == nil)
        #expect(HostName(text).ipv6Octets == nil)
    }
}
