// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC
package import ConductorService
package import Logging
import NIOConcurrencyHelpers
import NIOCore
package import Notifications
package import Notifier
import ServiceLifecycle
package import TLSChannel

/// A conductor in this process, on a port that the system chose.
package struct RunningConductor: Sendable {
    /// The port on 127.0.0.1 on which it listens.
    package let port: Int
    /// The certificates of the conductor and its guests.
    package let certificates: TestCertificates
    /// The certificates that the conductor presents now, and the open connections.
    package let tls: LiveTLSContext
    /// The counts of what happened to the requests so far.
    package var counters: RelayCounters { self.relay.counters }
    /// The numbers of connections that are open and that were rejected.
    package var connections: ConnectionCounters { self.server.connections }
    fileprivate let relay: Relay
    fileprivate let server: ConductorServer
    fileprivate let group: ServiceGroup

    /// Makes the conductor drain and end.
    package func stop() async { await self.group.triggerGracefulShutdown() }

    /// Connects a guest to it.
    package func connect(
        _ configuration: ConductorConnection.Configuration = .init()
    ) async throws -> ConductorConnection {
        try await ConductorConnection.connect(
            host: "127.0.0.1", port: self.port, tls: self.certificates.client(), group: TestEventLoops.group,
            configuration: configuration)
    }
}

/// Runs a conductor over a notifier while `body` runs; ends with the error of whichever fails.
package func withConductor<Result>(
    _ notifier: Notifier, certificates: TestCertificates? = nil, minimumVersion: TLSVersion = .tls13, port: Int = 0,
    catalogues: Catalogues = .builtIn, rememberedIDs: Int = Relay.defaultRememberedIDs,
    authorization: GuestAuthorization = GuestAuthorization(), verifier: ContextVerifier? = nil,
    limits: ReportLimits = ReportLimits(), logger conductorLogger: Logger? = nil, tls: LiveTLSContext? = nil,
    configure: (inout ConductorServer.Configuration) -> Void = { _ in },
    _ body: (RunningConductor) async throws -> Result
) async throws -> Result {
    let certificates = try certificates ?? TestCertificates()
    var logger = Logger(label: "conductor") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = .error
    logger = conductorLogger ?? logger
    var configuration = ConductorServer.Configuration(host: "127.0.0.1", port: port)
    // All tests connect from one address.
    configuration.limits.newConnections.perSecond = 1_000_000
    configuration.limits.newConnections.burst = 1_000_000
    configure(&configuration)
    let (addresses, listening) = AsyncStream.makeStream(of: SocketAddress.self)
    let relay = Relay(
        notifier: notifier, catalogues: catalogues, publisherID: "conductor.test", rememberedIDs: rememberedIDs,
        authorization: authorization, verifier: verifier, limits: limits, logger: logger)
    let tls = try tls ?? LiveTLSContext(certificates.server(minimumVersion: minimumVersion))
    let server = ConductorServer(
        configuration: configuration, tls: tls,
        requestHandler: relay, logger: logger, onListening: { listening.yield($0) })
    let group = ServiceGroup(
        configuration: .init(services: [.init(service: notifier), .init(service: server)], logger: logger))
    return try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask {
            defer { listening.finish() }
            try await group.run()
        }
        guard let port = await addresses.first(where: { _ in true })?.port else {
            try await tasks.waitForAll()
            throw TestConductorError(description: "the conductor ended before it listened")
        }
        do {
            let result = try await body(
                RunningConductor(
                    port: port, certificates: certificates, tls: tls, relay: relay, server: server, group: group))
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            return result
        } catch {
            await group.triggerGracefulShutdown()
            throw error
        }
    }
}

/// A problem of a conductor under test.
package struct TestConductorError: Error, CustomStringConvertible {
    package let description: String
}
