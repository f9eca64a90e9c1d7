// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import NIOTLS
import ProcessTesting
import Testing

@testable import CertificateIssuing
@testable import TLSChannel

/// Our handler on real sockets, with the `openssl` program at the other end.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct ForeignPeerTests {
    let identities: TestIdentities
    let files: IdentityFiles

    init() throws {
        self.identities = try TestIdentities()
        self.files = try IdentityFiles(self.identities)
    }

    // MARK: openssl s_client against our server

    @Test("openssl s_client with a certificate is served")
    func sClientServed() async throws {
        try await self.withServer { port, outcomes in
            let peer = try TestProcess("openssl", self.sClient(port, ["-alpn", "conductor-rpc/1"], identity: "client"))
            try peer.send("hello\n")
            let output = await peer.outputUntil("echo: hello")
            #expect(output.contains("echo: hello"))
            #expect(output.contains("Verification: OK") || output.contains("Verify return code: 0"))
            peer.closeInput()
            let outcome = await outcomes.next()
            #expect(outcome?.negotiatedProtocol == "conductor-rpc/1")
            #expect(outcome?.peer?.uris.first == "conductor:tenant/t1/instance/i1")
            #expect(outcome?.errors.isEmpty == true)
            await peer.finish()
        }
    }

    @Test("openssl s_client without ALPN is served")
    func sClientWithoutALPN() async throws {
        try await self.withServer { port, outcomes in
            let peer = try TestProcess("openssl", self.sClient(port, identity: "client"))
            try peer.send("hello\n")
            #expect(await peer.outputUntil("echo: hello").contains("echo: hello"))
            peer.closeInput()
            let outcome = await outcomes.next()
            #expect(outcome?.handshakes == 1)
            #expect(outcome?.negotiatedProtocol == nil)
            await peer.finish()
        }
    }

    @Test("openssl s_client that offers another protocol is rejected")
    func sClientOtherALPN() async throws {
        let (outcome, output) = try await self.refused(["-alpn", "h2"], identity: "client")
        #expect(outcome?.errors.map(\.code) == [.handshakeFailed])
        #expect(output.contains("no application protocol"))
    }

    @Test("openssl s_client without a certificate is rejected")
    func sClientWithoutCertificate() async throws {
        let (outcome, output) = try await self.refused([], identity: nil)
        #expect(outcome?.errors.map(\.code) == [.verificationFailed])
        #expect(outcome?.errors.first?.message.contains("no certificate") == true)
        #expect(output.contains("certificate required"))
    }

    @Test("openssl s_client with a certificate of another authority is rejected")
    func sClientOtherAuthority() async throws {
        try self.files.write("stranger", TestIdentities().client)
        let (outcome, output) = try await self.refused([], identity: "stranger")
        #expect(outcome?.errors.map(\.code) == [.verificationFailed])
        #expect(output.contains("unknown ca"))
    }

    @Test("openssl s_client with an expired certificate is rejected")
    func sClientExpired() async throws {
        let expired = try self.identities.authority.issueClient(
            commonName: "old", validity: TestIdentities.yesterday)
        try self.files.write("expired", expired)
        let (outcome, output) = try await self.refused([], identity: "expired")
        #expect(outcome?.errors.map(\.code) == [.verificationFailed])
        #expect(outcome?.errors.first?.message.contains("expired") == true)
        #expect(output.contains("certificate expired"))
    }

    @Test("openssl s_client with a TLS version before 1.3 is rejected by default", arguments: ["-tls1_1", "-tls1_2"])
    func sClientOldVersion(version: String) async throws {
        let (outcome, output) = try await self.refused(
            [version, "-cipher", "DEFAULT@SECLEVEL=0"], identity: "client")
        #expect(outcome?.errors.map(\.code) == [.handshakeFailed])
        #expect(outcome?.errors.first?.message.contains("protocol version") == true)
        #expect(output.contains("protocol version"))
    }

    @Test("openssl s_client with TLS 1.2 is served when the server allows it")
    func sClientTLS12() async throws {
        var configuration = self.identities.serverConfiguration()
        configuration.minimumVersion = .tls12
        try await self.withServer(configuration) { port, outcomes in
            let peer = try TestProcess("openssl", self.sClient(port, ["-tls1_2"], identity: "client"))
            try peer.send("hello\n")
            let output = await peer.outputUntil("echo: hello")
            #expect(output.contains("echo: hello"))
            #expect(output.contains("ECDHE-ECDSA-"))
            #expect(!output.contains("TLS session ticket:"))
            peer.closeInput()
            #expect(await outcomes.next()?.version == .tls12)
            await peer.finish()
        }
    }

    @Test("openssl s_client with a weak cipher of TLS 1.2 is rejected")
    func sClientWeakCipher() async throws {
        var configuration = self.identities.serverConfiguration()
        configuration.minimumVersion = .tls12
        let (outcome, _) = try await self.refused(
            ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"], identity: "client", configuration)
        #expect(outcome?.errors.map(\.code) == [.handshakeFailed])
        #expect(outcome?.errors.first?.message.contains("no shared cipher") == true)
    }

    // MARK: our client against openssl s_server

    @Test("The client exchanges data with openssl s_server")
    func clientToSServer() async throws {
        let outcome = try await self.connectToSServer(["-alpn", "conductor-rpc/1"], identity: "server")
        #expect(outcome.errors.isEmpty)
        #expect(outcome.negotiatedProtocol == "conductor-rpc/1")
        #expect(outcome.peer?.commonName == "conductor")
        // -rev answers each line backwards.
        #expect(String(buffer: outcome.received) == "olleh\n")
    }

    @Test("The client accepts TLS 1.2 from openssl s_server only when it is configured to")
    func sServerTLS12() async throws {
        var configuration = self.identities.clientConfiguration()
        let refused = try await self.connectToSServer(["-tls1_2"], identity: "server", configuration)
        #expect(refused.errors.map(\.code) == [.refusedByPeer])
        configuration.minimumVersion = .tls12
        let served = try await self.connectToSServer(["-tls1_2"], identity: "server", configuration)
        #expect(served.errors.isEmpty)
        #expect(served.version == .tls12)
    }

    @Test("The client rejects openssl s_server with a certificate of another authority")
    func sServerOtherAuthority() async throws {
        try self.files.write("stranger", TestIdentities().server)
        let outcome = try await self.connectToSServer([], identity: "stranger")
        #expect(outcome.errors.map(\.code) == [.verificationFailed])
        #expect(outcome.handshakes == 0)
    }

    @Test("The client rejects openssl s_server whose certificate has another name")
    func sServerOtherName() async throws {
        let other = try self.identities.authority.issueServer(
            commonName: "localhost", dnsNames: ["elsewhere.test"], validity: .days(1))
        try self.files.write("other", other)
        let outcome = try await self.connectToSServer([], identity: "other")
        #expect(outcome.errors.map(\.code) == [.verificationFailed])
        #expect(outcome.errors.first?.message.contains("mismatch") == true)
    }

    // MARK: Helpers

    func sClient(
        _ port: Int, _ more: [String] = [], identity: String?, takesCommands: Bool = false
    ) -> [String] {
        var arguments = [
            "s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", self.files.path("ca.pem"), "-verify_return_error",
        ]
        if !takesCommands { arguments.append("-nocommands") }
        if let identity {
            arguments += ["-cert", self.files.path("\(identity).pem"), "-key", self.files.path("\(identity).key")]
        }
        return arguments + more
    }

    /// Makes a connection that our server is expected to reject. Returns the server's outcome and the client's output.
    private func refused(
        _ arguments: [String], identity: String?, _ configuration: TLSConfiguration? = nil
    ) async throws -> (outcome: ConnectionOutcome?, output: String) {
        try await self.withServer(configuration) { port, outcomes in
            let peer = try TestProcess("openssl", self.sClient(port, arguments, identity: identity))
            let outcome = await outcomes.next()
            // The client exits by itself, because it has received the reason.
            let output = await peer.outputUntilExit()
            await peer.finish()
            return (outcome, output)
        }
    }

    func withServer<Result: Sendable>(
        _ configuration: TLSConfiguration? = nil,
        _ body: (_ port: Int, _ outcomes: inout AsyncStream<ConnectionOutcome>.Iterator) async throws -> Result
    ) async throws -> Result {
        let context = try TLSContext(configuration: configuration ?? self.identities.serverConfiguration())
        let (outcomes, continuation) = AsyncStream<ConnectionOutcome>.makeStream()
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let tls = try TLSHandler(context: context, serverName: nil)
                    let echo = ExchangeRecorder(tls, greeting: nil) { continuation.yield($0) }
                    try channel.pipeline.syncOperations.addHandlers([tls, echo])
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        do {
            var iterator = outcomes.makeAsyncIterator()
            let result = try await body(channel.localAddress?.port ?? 0, &iterator)
            try await channel.close()
            return result
        } catch {
            try? await channel.close()
            throw error
        }
    }

    /// Sends "hello" to an `openssl s_server -rev`, closes after the answer, and returns the outcome.
    private func connectToSServer(
        _ arguments: [String], identity: String, _ configuration: TLSConfiguration? = nil
    ) async throws -> ConnectionOutcome {
        let peer = try TestProcess(
            "openssl",
            [
                "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-rev", "-Verify", "1", "-verify_return_error",
                "-CAfile", self.files.path("ca.pem"), "-cert", self.files.path("\(identity).pem"),
                "-key", self.files.path("\(identity).key"),
            ] + arguments)
        var announced = await peer.outputUntil("ACCEPT")
        if !announced.dropFirst().contains("\n") { announced = await peer.outputUntil("\n") }
        let line = announced.split(separator: "\n").first { $0.hasPrefix("ACCEPT") }
        guard let port = line?.split(separator: ":").last.flatMap({ Int($0) }) else {
            await peer.finish()
            throw Unexpected()
        }
        let context = try TLSContext(configuration: configuration ?? self.identities.clientConfiguration())
        let (outcomes, continuation) = AsyncStream<ConnectionOutcome>.makeStream()
        _ = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let tls = try TLSHandler(context: context, serverName: "localhost")
                    let witness = ExchangeRecorder(tls, greeting: "hello\n") { continuation.yield($0) }
                    try channel.pipeline.syncOperations.addHandlers([tls, witness])
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        var iterator = outcomes.makeAsyncIterator()
        let outcome = await iterator.next()
        await peer.finish()
        return try #require(outcome)
    }
}

/// The outcome of one connection.
struct ConnectionOutcome: Sendable {
    var handshakes = 0
    var negotiatedProtocol: String?
    var version: TLSVersion?
    var peer: PeerCertificate?
    var received = ByteBuffer()
    var errors: [TLSError] = []
}

/// Sends its greeting, if it has one, and closes after the answer; otherwise echoes. Reports the outcome when the
/// channel has closed.
private final class ExchangeRecorder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let tls: TLSHandler
    private let greeting: String?
    private let report: (ConnectionOutcome) -> Void
    private var outcome = ConnectionOutcome()

    init(_ tls: TLSHandler, greeting: String?, report: @escaping (ConnectionOutcome) -> Void) {
        self.tls = tls
        self.greeting = greeting
        self.report = report
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .some(.handshakeCompleted(let name)) = event as? TLSUserEvent else { return }
        self.outcome.handshakes += 1
        self.outcome.negotiatedProtocol = name
        self.outcome.peer = self.tls.peerCertificate
        self.outcome.version = self.tls.negotiatedVersion
        if let greeting = self.greeting {
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: greeting)), promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = self.unwrapInboundIn(data)
        self.outcome.received.writeImmutableBuffer(bytes)
        if self.greeting == nil {
            context.write(self.wrapOutboundOut(ByteBuffer(string: "echo: ")), promise: nil)
            context.writeAndFlush(self.wrapOutboundOut(bytes), promise: nil)
        } else if self.outcome.received.readableBytesView.last == UInt8(ascii: "\n") {
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? TLSError { self.outcome.errors.append(error) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.report(self.outcome)
        context.fireChannelInactive()
    }
}
