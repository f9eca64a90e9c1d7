// SPDX-License-Identifier: Apache-2.0

import CertificateIssuing
import ConductorRPC
import ConductorService
import LogTesting
import Logging
import NIOCore
import NIOPosix
import Notifications
import Notifier
import ProcessTesting
import RelayTesting
import TLSChannel
import Testing

/// Too many connections, from guests and unknown peers, over real sockets.
@Suite(.timeLimit(.minutes(2))) struct ConnectionLimitTests {
    private static let ping = #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#

    /// Opens a connection that sends nothing.
    private func connect(_ conductor: RunningConductor) async throws -> any Channel {
        try await ClientBootstrap(group: TestEventLoops.group).connect(host: "127.0.0.1", port: conductor.port).get()
    }

    /// Waits until the conductor's counters meet a condition.
    private func wait(_ conductor: RunningConductor, _ isReached: (ConnectionCounters) -> Bool) async throws {
        while !isReached(conductor.connections) { try await Task.sleep(for: .milliseconds(5)) }
    }

    /// Expects that the guest is served.
    private func ping(_ guest: inout RawGuest) async throws {
        let answer = try await guest.call(Self.ping)
        #expect(answer.contains("version"))
    }

    /// Writes certificates for guests `NAME` of a tenant, or of none.
    private func write(_ guests: [(name: String, tenant: String?)], _ conductor: RunningConductor) throws {
        for (name, tenant) in guests {
            try conductor.certificates.write(
                name,
                TestCertificates.guest(of: conductor.certificates.authority, instance: name, tenant: tenant))
        }
    }

    @Test("A full conductor closes an idle connection of the largest tenant to serve a newcomer")
    func newcomerAtFullConductor() async throws {
        let log = LogRecorder()
        try await withConductor(Notifier(drivers: [TestDriver()]), logger: log.logger("conductor")) {
            $0.limits.connections = 4
            $0.limits.tenantPercent = 100
        } _: { conductor in
            try self.write([("a", "t-1"), ("b", "t-1"), ("c", "t-2"), ("d", "t-3")], conductor)
            try await RawGuest.with(conductor, certificate: "c") { lonely in
                try await self.ping(&lonely)
                try await RawGuest.with(conductor, certificate: "a") { quiet in
                    try await self.ping(&quiet)
                    try await RawGuest.with(conductor, certificate: "b") { first in
                        try await self.ping(&first)
                        try await RawGuest.with(conductor, certificate: "b") { second in
                            try await self.ping(&second)
                            try await self.ping(&first)
                            // Tenant t-1 has three of four connections, and its guest b two of them, the second of
                            // which has been idle for longer.
                            try await RawGuest.with(conductor, certificate: "d") { newcomer in
                                try await self.ping(&newcomer)
                                let line = try #require(try await second.line())
                                #expect(
                                    line.hasPrefix(#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005"#), "\(line)")
                                #expect(line.contains(#""retryable":true"#) && line.contains("the longest idle one"))
                                #expect(line.contains(#""retry_after_ms":10000"#))
                                let end = try await second.line()
                                #expect(end == nil)
                                // No other guest is affected.
                                for guest in [lonely, quiet, first, newcomer] {
                                    var guest = guest
                                    try await self.ping(&guest)
                                }
                                #expect(conductor.connections.displaced == 1)
                            }
                        }
                    }
                }
            }
            try await self.wait(conductor) { $0.connections == 0 }
            #expect(conductor.connections.rejected == 0)
            // Its place was reused once, and is freed once.
            try await RawGuest.with(conductor, certificate: "a") { guest in try await self.ping(&guest) }
        }
        #expect(log.entries.count { "\($0.message)".contains("limits.connections was reached") } == 1)
    }

    @Test("Four compromised guests of one tenant leave half of all connections to the others")
    func compromisedGuestsOfOneTenant() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) {
            $0.limits.connections = 40
            // By default a guest has eight, so four would have 32.
        } _: { conductor in
            let bad = ["bad-0", "bad-1", "bad-2", "bad-3"]
            try self.write(bad.map { ($0, "t-bad") } + [("good", "t-good")], conductor)
            var open: [ConductorConnection] = []
            var closed = 0
            for _ in 0..<8 {
                for name in bad {
                    let connection = try await ConductorConnection.connect(
                        host: "127.0.0.1", port: conductor.port, tls: conductor.certificates.client(name),
                        group: TestEventLoops.group)
                    do {
                        _ = try await connection.call(.ping)
                        open.append(connection)
                    } catch let error as RPCCallError {
                        #expect(error.isRetryable)
                        #expect("\(error)".contains("Too many connections"), "\(error)")
                        closed += 1
                    }
                }
            }
            // A tenant has at most half of all connections.
            #expect(open.count == 20 && closed == 12)
            try await RawGuest.with(conductor, certificate: "good") { good in try await self.ping(&good) }
            #expect(conductor.connections.rejected == 12)
            for connection in open { await connection.close() }
        }
    }

    @Test("A newcomer is served while hostile peers hold all places for handshakes")
    func newcomersDuringFlood() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) {
            $0.limits.handshakes = 16
            $0.limits.pendingConnections = 64
            // Timeouts free no places during the test.
            $0.limits.helloTimeout = .seconds(60)
            $0.handshakeTimeout = .seconds(60)
        } _: { conductor in
            let engine = try TLSEngine(context: conductor.certificates.client(), serverName: "127.0.0.1")
            _ = engine.handshake()
            let hello = try #require(engine.takeCiphertext())
            // Eight addresses; of each, a third sends nothing, a third half a ClientHello, a third a whole one and
            // nothing more.
            var hostile: [any Channel] = []
            for number in 0..<160 {
                let channel = try await ClientBootstrap(group: TestEventLoops.group)
                    .bind(to: SocketAddress(ipAddress: "127.0.0.\(2 + number % 8)", port: 0))
                    .connect(host: "127.0.0.1", port: conductor.port).get()
                switch number / 8 % 3 {
                case 0: break
                case 1: try? await channel.writeAndFlush(hello.getSlice(at: 0, length: hello.readableBytes / 2))
                default: try? await channel.writeAndFlush(hello)
                }
                hostile.append(channel)
            }
            try await self.wait(conductor) { $0.handshakes == 16 }
            let clock = ContinuousClock()
            for _ in 0..<5 {
                let begun = clock.now
                try await RawGuest.with(conductor) { guest in try await self.ping(&guest) }
                // It takes at most three seconds of grace when all places are taken, and this machine may be busy.
                #expect(clock.now - begun < .seconds(20))
                #expect(conductor.connections.handshakes <= 16 && conductor.connections.pending <= 64)
            }
            for channel in hostile { try? await channel.close() }
        }
    }

    @Test("A connection of an address beyond its rate is closed before its handshake")
    func connectionRate() async throws {
        let log = LogRecorder()
        try await withConductor(Notifier(drivers: [TestDriver()]), logger: log.logger("conductor")) {
            $0.limits.newConnections.perSecond = 1
            $0.limits.newConnections.burst = 3
        } _: { conductor in
            try await RawGuest.with(conductor) { guest in
                try await self.ping(&guest)
                var tried: [any Channel] = []
                while conductor.connections.rateLimited == 0 {
                    tried.append(try await self.connect(conductor))
                    try await self.wait(conductor) { $0.connections + $0.rateLimited == 1 + tried.count }
                }
                #expect(tried.count >= 3)
                // Which of them was rejected depends on the timing.
                let all = tried
                try await self.wait(conductor) { all.count(where: \.isActive) == all.count - $0.rateLimited }
                tried.removeAll { !$0.isActive }
                // Another address has its own rate, and an open connection is not affected.
                let others = try await ClientBootstrap(group: TestEventLoops.group)
                    .bind(to: SocketAddress(ipAddress: "127.0.0.2", port: 0))
                    .connect(host: "127.0.0.1", port: conductor.port).get()
                let letIn = tried
                try await self.wait(conductor) { $0.connections == 2 + letIn.count(where: \.isActive) }
                try await self.ping(&guest)
                try await others.close()
                for channel in tried { try? await channel.close() }
                try await self.wait(conductor) { $0.connections == 1 }
            }
            #expect(conductor.connections.rejected == 0)
            try await self.wait(conductor) { $0.connections == 0 }
            // After a second it may connect again.
            while true {
                do {
                    let guest = try await conductor.connect()
                    _ = try await guest.call(.ping)
                    await guest.close()
                    break
                } catch {
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
        }
        let lines = log.entries.filter { "\($0.message)".contains("limits.connections_per_second") }
        #expect(lines.first?.metadata["limits.connections_burst"] == "3")
    }

    @Test("Beyond a guest's own limit, its newest connection gets an error and is closed")
    func connectionsOfOneGuest() async throws {
        let log = LogRecorder()
        try await withConductor(Notifier(drivers: [TestDriver()]), logger: log.logger("conductor")) {
            $0.limits.connectionsPerGuest = 2
        } _: { conductor in
            try conductor.certificates.write(
                "other",
                conductor.certificates.authority.issueClient(
                    commonName: "inst-2", uris: ["spiffe://conductor.test/instance/inst-2"], validity: .days(1)))
            try await RawGuest.with(conductor) { first in
                try await self.ping(&first)
                try await RawGuest.with(conductor) { second in
                    try await self.ping(&second)
                    for _ in 1...10 {
                        try await RawGuest.with(conductor) { third in
                            let line = try #require(try await third.line())
                            #expect(line.hasPrefix(#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005"#), "\(line)")
                            #expect(line.contains("Too many connections") && line.contains(#""retryable":true"#))
                            #expect(line.contains(#""retry_after_ms":10000"#))
                            let end = try await third.line()
                            #expect(end == nil)
                        }
                    }
                    // Other guests, and earlier connections, are not affected.
                    try await RawGuest.with(conductor, certificate: "other") { other in
                        try await self.ping(&other)
                    }
                    try await self.ping(&second)
                }
                try await self.wait(conductor) { $0.connections == 1 }
                // A place that was freed can be taken again.
                try await RawGuest.with(conductor) { second in
                    try await self.ping(&second)
                }
            }
            #expect(conductor.connections.rejected == 10)
            // It is not a request, so the ledger does not count it.
            #expect(conductor.counters.received == 0 && conductor.counters.isBalanced)
        }
        #expect(log.entries.count { "\($0.message)".contains("limits.connections_per_guest") } == 1)
    }

    @Test("A guest's client returns the reason why its connection was closed")
    func closeReason() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) {
            $0.limits.connectionsPerGuest = 1
        } _: { conductor in
            let first = try await conductor.connect()
            // A client's handshake ends before the server's. After an answer, the server has admitted this connection.
            _ = try await first.call(.ping)
            let second = try await conductor.connect()
            try await second.closeFuture.get()
            let error = await #expect(throws: RPCCallError.self) { try await second.call(.ping) }
            #expect(error?.isRetryable == true)
            #expect(error?.description.contains("Too many connections") == true)
            #expect(try await first.call(.ping) == .pong(version: RPCProtocol.version))
            await first.close()
        }
    }

    @Test("Silent peers hold no places for handshakes, and are closed at their deadline")
    func silentPeers() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) {
            $0.limits.handshakes = 3
            $0.limits.helloTimeout = .milliseconds(300)
        } _: { conductor in
            try await RawGuest.with(conductor) { before in
                try await self.ping(&before)
                var silent: [any Channel] = []
                for _ in 1...9 { silent.append(try await self.connect(conductor)) }
                try await self.ping(&before)
                #expect(conductor.connections.handshakes == 0)
                try await RawGuest.with(conductor) { late in
                    try await self.ping(&late)
                }
                for channel in silent { try await channel.closeFuture.get() }
            }
        }
    }

    /// A ClientHello that arrives a byte at a time has no more time than one that does not arrive.
    @Test("A peer that sends its ClientHello too slowly is closed at the deadline")
    func slowClientHello() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) {
            $0.limits.helloTimeout = .milliseconds(300)
        } _: { conductor in
            let channel = try await self.connect(conductor)
            let hello: [UInt8] = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03]
            let feeder = Task {
                for index in 0... {
                    try await channel.writeAndFlush(ByteBuffer(bytes: [index < hello.count ? hello[index] : 0]))
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            try await channel.closeFuture.get()
            feeder.cancel()
            _ = await feeder.result
            try await self.wait(conductor) { $0.connections == 0 }
        }
    }

    /// Its ClientHello arrived in time, and nothing more.
    @Test("A handshake that never ends is closed at its deadline")
    func endlessHandshake() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) {
            $0.handshakeTimeout = .milliseconds(300)
        } _: { conductor in
            let engine = try TLSEngine(context: conductor.certificates.client(), serverName: "127.0.0.1")
            _ = engine.handshake()
            let channel = try await self.connect(conductor)
            try await channel.writeAndFlush(try #require(engine.takeCiphertext()))
            try await channel.closeFuture.get()
            try await self.wait(conductor) { $0.connections == 0 }
        }
    }

    @Test("A half-closed socket leaves no connection behind")
    func halfClosedSocket() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) { conductor in
            // Before the handshake, and after it without close_notify.
            let channel = try await ClientBootstrap(group: TestEventLoops.group)
                .channelOption(.allowRemoteHalfClosure, value: true)
                .connect(host: "127.0.0.1", port: conductor.port).get()
            try await channel.close(mode: .output)
            try await self.wait(conductor) { $0.connections == 0 }
            try? await channel.close()
            let certificates = conductor.certificates
            let openssl = try TestProcess(
                "openssl",
                [
                    "s_client", "-quiet", "-connect", "127.0.0.1:\(conductor.port)", "-CAfile",
                    certificates.path("ca.pem"), "-cert", certificates.path("guest.pem"), "-key",
                    certificates.path("guest.key"),
                ])
            try openssl.send(Self.ping + "\n")
            #expect(await openssl.outputUntil("version").contains("version"))
            await openssl.finish()
            try await self.wait(conductor) { $0.connections == 0 }
        }
    }

    @Test("An idle connection is closed")
    func idleConnection() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) {
            $0.connection.idleTimeout = .milliseconds(200)
        } _: { conductor in
            try await RawGuest.with(conductor) { guest in
                try await self.ping(&guest)
                let end = try await guest.line()
                #expect(end == nil)
            }
        }
    }

    /// The client pings the conductor periodically.
    @Test("A guest's client keeps its connection open with pings")
    func keepAlivePings() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) {
            $0.connection.idleTimeout = .milliseconds(800)
        } _: { conductor in
            var configuration = ConductorConnection.Configuration()
            configuration.keepAlive = .milliseconds(100)
            let connection = try await conductor.connect(configuration)
            while conductor.counters.pings < 15 { try await Task.sleep(for: .milliseconds(10)) }
            #expect(try await connection.call(.ping) == .pong(version: RPCProtocol.version))
            await connection.close()
        }
    }

    @Test("A request in flight keeps its connection open, however long it takes")
    func requestInFlight() async throws {
        let driver = HeldDriver()
        try await withConductor(Notifier(drivers: [driver])) {
            $0.connection.idleTimeout = .milliseconds(100)
        } _: { conductor in
            try await RawGuest.with(conductor) { guest in
                try await guest.send(line: SampleReport.line(id: 1))
                await driver.received(1)
                try await Task.sleep(for: .milliseconds(400))
                driver.release()
                #expect(try await guest.line()?.contains("published") == true)
                let end = try await guest.line()
                #expect(end == nil)
            }
        }
    }

    @Test("A peer that sends a line too slowly gets an error and is closed")
    func slowLine() async throws {
        let driver = HeldDriver()
        try await withConductor(Notifier(drivers: [driver])) {
            $0.connection.lineTimeout = .milliseconds(300)
        } _: { conductor in
            try await RawGuest.with(conductor) { guest in
                // A request that was accepted before is still answered.
                try await guest.send(line: SampleReport.line(id: 1))
                await driver.received(1)
                let send = guest.sender
                let feeder = Task {
                    for byte in Self.ping.utf8 {
                        try await send([byte])
                        try await Task.sleep(for: .milliseconds(50))
                    }
                }
                #expect(try await guest.line()?.contains(#""id":null,"error":{"code":-32007"#) == true)
                driver.release()
                #expect(try await guest.line()?.contains("published") == true)
                let end = try await guest.line()
                #expect(end == nil)
                feeder.cancel()
                _ = await feeder.result
            }
        }
    }
}
