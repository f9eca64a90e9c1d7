// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import NIOCore
import NIOPosix
import Notifier
import RelayTesting
import Testing

/// A resolver that returns an IPv6 address that nothing listens on, and the address of the conductor.
private final class TwoAddressResolver: Resolver, Sendable {
    private let port: Int

    init(port: Int) { self.port = port }

    private func addresses(_ address: String, _ port: Int) -> EventLoopFuture<[SocketAddress]> {
        TestEventLoops.group.next().makeCompletedFuture { [try SocketAddress(ipAddress: address, port: port)] }
    }

    func initiateAAAAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> { self.addresses("::1", 1) }

    func initiateAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        self.addresses("127.0.0.1", self.port)
    }

    func cancelQueries() {}
}

/// The setup of a guest's connection.
@Suite(.timeLimit(.minutes(1))) struct ConductorConnectionTests {
    @Test("An unreachable address of a name does not prevent a connection to a reachable one")
    func unreachableAddress() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) { conductor in
            let connection = try await ConductorConnection.connect(
                host: "localhost", port: conductor.port, tls: conductor.certificates.client(),
                group: TestEventLoops.group, resolver: TwoAddressResolver(port: conductor.port))
            guard case .pong = try await connection.call(.ping) else {
                Issue.record("ping was not answered")
                return
            }
            await connection.close()
        }
    }

    @Test("A cancelled connect ends at once")
    func cancelledConnect() async throws {
        let certificates = try TestCertificates()
        try await SilentServer.with { silent in
            let task = Task {
                try await ConductorConnection.connect(
                    host: "127.0.0.1", port: silent.port, tls: certificates.client(), group: TestEventLoops.group)
            }
            await silent.wasSpokenTo()
            let time = await ContinuousClock().measure {
                task.cancel()
                await #expect(throws: CancellationError.self) { _ = try await task.value }
            }
            #expect(time < .seconds(5))
        }
    }
}
