// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import Foundation
import Glibc
import LogTesting
import Logging
import NIOCore
import NIOPosix
import Notifier
import RelayTesting
import Testing

/// Values of `listen.host`, and the addresses that the conductor listens on.
@Suite(.timeLimit(.minutes(1))) struct ListenHostTests {
    @Test(
        "A valid host is accepted, and gives its bindings",
        arguments: [
            ("*", [ListenHost.Binding.all, .one("0.0.0.0")]), ("::", [.all]), ("[::]", [.all]),
            ("0.0.0.0", [.one("0.0.0.0")]), ("127.0.0.1", [.one("127.0.0.1")]), ("::1", [.one("::1")]),
            ("[::1]", [.one("::1")]), ("2001:db8::1", [.one("2001:db8::1")]),
            ("[fe80::1%eth0]", [.one("fe80::1%eth0")]),
            ("localhost", [.one("localhost")]), ("edge-1.example", [.one("edge-1.example")]), ("a_b", [.one("a_b")]),
        ] as [(String, [ListenHost.Binding])])
    func validHosts(text: String, bindings: [ListenHost.Binding]) throws {
        #expect(try ListenHost(text).bindings == bindings)
    }

    @Test(
        "An invalid host is rejected, and the error says what to write",
        arguments: [
            "", " ", "[]", "[*]", "[::1", "::1]", "[127.0.0.1]", "[localhost]", "127.0.0.1:8790", "[::1]:8790",
            "edge:1",
            "tcp://edge", "*.example", "**", "256.0.0.1", "10.1", "0", "1.2.3.4.5", "é", "a b", "::g", "[::1%]", "a/b",
            String(repeating: "a", count: 254),
        ])
    func invalidHosts(text: String) {
        let error = #expect(throws: ConductorServerError.self) { try ListenHost(text) }
        #expect(error?.description.hasPrefix("listen.host must be an IP address") == true)
        #expect(error?.description.contains("* for all addresses") == true)
        #expect((error?.description.contains("set the port in listen.port") == true) == text.contains(":"))
    }

    @Test("The errors of a machine without IPv6 are distinguished from other errors")
    func missingIPv6() {
        #expect(ListenHost.isOfMissingIPv6(EAFNOSUPPORT) && ListenHost.isOfMissingIPv6(EADDRNOTAVAIL))
        #expect(!ListenHost.isOfMissingIPv6(EADDRINUSE) && !ListenHost.isOfMissingIPv6(nil))
    }

    /// Whether this machine has an IPv6 loopback.
    private static let hasIPv6 =
        (try? String(contentsOfFile: "/proc/net/if_inet6", encoding: .utf8))?
        .contains("00000000000000000000000000000001 ") == true

    private func canConnect(_ host: String, _ port: Int) async -> Bool {
        let channel = try? await ClientBootstrap(group: TestEventLoops.group).connect(host: host, port: port).get()
        try? await channel?.close()
        return channel != nil
    }

    @Test("The host for all addresses listens on IPv6 and IPv4", arguments: ["*", "::", "[::]"])
    func allAddresses(host: String) async throws {
        guard Self.hasIPv6 || host == "*" else { return }
        let log = LogRecorder()
        try await withConductor(Notifier(drivers: [NoopDriver()]), logger: log.logger("conductor")) {
            $0.host = host
        } _: { conductor in
            #expect(await self.canConnect("127.0.0.1", conductor.port))
            #expect(await self.canConnect("::1", conductor.port) == Self.hasIPv6)
            // A guest that connects over IPv4 has an IPv4 address.
            try await RawGuest.with(conductor) { guest in
                let answer = try await guest.call(#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
                #expect(answer.contains("version"))
            }
            let addresses = log.entries.filter { $0.message == "Listening for guests" }.map { $0.metadata["address"] }
            let expected = ["[::]:\(conductor.port)", "0.0.0.0:\(conductor.port)"]
            #expect(addresses == (Self.hasIPv6 ? expected : Array(expected.suffix(1))))
        }
        #expect(!log.text.contains("::ffff:"))
    }

    @Test(
        "A conductor with a single address listens on no other one",
        arguments: [("127.0.0.1", "127.0.0.1", "127.0.0.1"), ("[::1]", "::1", "[::1]"), ("::1", "::1", "[::1]")])
    func singleAddress(host: String, reached: String, shown: String) async throws {
        guard Self.hasIPv6 || !reached.contains(":") else { return }
        let log = LogRecorder()
        try await withConductor(Notifier(drivers: [NoopDriver()]), logger: log.logger("conductor")) {
            $0.host = host
        } _: { conductor in
            #expect(await self.canConnect(reached, conductor.port))
            #expect(await !self.canConnect(reached == "::1" ? "127.0.0.1" : "::1", conductor.port))
            let addresses = log.entries.filter { $0.message == "Listening for guests" }.map { $0.metadata["address"] }
            #expect(addresses == ["\(shown):\(conductor.port)"])
        }
    }

    @Test("An IPv4 address is shown as IPv4, even if its socket maps it to IPv6")
    func mappedIPv4Address() throws {
        #expect(try SocketAddress(ipAddress: "::ffff:192.0.2.1", port: 5).hostAndPort == "192.0.2.1:5")
        #expect(try SocketAddress(ipAddress: "2001:db8::1", port: 5).hostAndPort == "[2001:db8::1]:5")
        #expect(try SocketAddress(ipAddress: "192.0.2.1", port: 5).hostAndPort == "192.0.2.1:5")
    }
}
