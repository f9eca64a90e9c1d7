// SPDX-License-Identifier: Apache-2.0

import HostNames
import Testing

@Suite struct HostPortTests {
    @Test("A host and a port are written with brackets around an IPv6 address")
    func description() {
        #expect(HostPort(host: "edge.example", port: 5).description == "edge.example:5")
        #expect(HostPort(host: "192.0.2.1", port: 5).description == "192.0.2.1:5")
        #expect(HostPort(host: "2001:db8::1", port: 5).description == "[2001:db8::1]:5")
    }

    @Test(
        "A text is split into its host and its port",
        arguments: [
            ("h", "h", nil), ("h:1", "h", "1"), ("h:", "h", ""), (":1", "", "1"), ("::1", "::1", nil),
            ("h:1:2", "h:1:2", nil), ("[::1]", "::1", nil), ("[::1]:1", "::1", "1"), ("[]:", "", ""), ("", "", nil),
        ] as [(String, String, String?)])
    func parts(text: String, host: String, port: String?) throws {
        let parts = try HostPort.Parts(text[...])
        #expect(parts.host == host)
        #expect(parts.port.map(String.init) == port)
        #expect(parts.hasBrackets == text.hasPrefix("["))
    }

    @Test("A bracket needs its end, and after it only a port may follow")
    func brackets() {
        #expect(throws: HostPort.Parts.Failure.noClosingBracket) { try HostPort.Parts("[::1:1") }
        #expect(throws: HostPort.Parts.Failure.textAfterBracket) { try HostPort.Parts("[::1]x") }
        #expect(throws: HostPort.Parts.Failure.textAfterBracket) { try HostPort.Parts("[::1]]:1") }
    }

    @Test(
        "A port is a number from 1 to 65535",
        arguments: [
            ("1", 1), ("65535", 65535), ("0", nil), ("65536", nil), ("+1", nil), ("-1", nil), ("x", nil), ("", nil),
        ] as [(String, UInt16?)])
    func portNumber(text: String, number: UInt16?) { #expect(HostPort.portNumber(text[...]) == number) }
}

@Suite struct HostNameTests {
    @Test("IP addresses are recognised by their text")
    func addresses() {
        for text in ["192.0.2.1", "0.0.0.0"] { #expect(HostName(text).isIPv4 && !HostName(text).isIPv6) }
        for text in ["::1", "2001:db8::1", "fe80::1%eth0"] { #expect(HostName(text).isIPv6 && !HostName(text).isIPv4) }
        for text in ["edge.example", "10.1", "::1%", "[::1]", "", "192.0.2.1%eth0"] {
            #expect(!HostName(text).isIPv4 && !HostName(text).isIPv6)
        }
    }

    @Test("Only names that always mean this machine are loopback")
    func loopback() {
        for text in ["localhost", "LocalHost", "127.0.0.1", "127.9.8.7", "::1", "0:0:0:0:0:0:0:1"] {
            #expect(HostName(text).isLoopback)
        }
        for text in ["localhost.example", "128.0.0.1", "0.0.0.0", "::", "::2", ""] {
            #expect(!HostName(text).isLoopback)
        }
    }
}
