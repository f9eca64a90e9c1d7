// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC
import EventLoopScheduling
package import Logging
import NIOConcurrencyHelpers
package import NIOCore
import NIOExtras
import NIOPosix
import ServiceLifecycle
package import TLSChannel

/// A service that listens for guests, and serves each connection with TLS, framing and a request handler.
package final class ConductorServer: Service {
    /// The address to listen on, and the limits of connections.
    package struct Configuration: Sendable {
        /// An IP address of this machine, a name that resolves to one, or `*` for all addresses (``ListenHost``).
        package var host: String
        /// The TCP port; 0 lets the system choose.
        package var port: Int
        /// The maximum time of a TLS handshake, and the maximum time that a connection waits for its handshake to
        /// begin.
        package var handshakeTimeout = TLSHandler.defaultHandshakeTimeout
        /// Each connection's limits.
        package var connection = RPCServerHandler.Configuration()
        /// The limits of all connections together, and of each guest.
        package var limits = ConnectionLimits()

        /// Creates the defaults, with this address.
        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    /// The maximum number of handshake steps that are reported at a time: as many as take about a millisecond.
    private static let handshakeStepsPerReport = 4

    private let configuration: Configuration
    private let tls: LiveTLSContext
    private let requestHandler: any RPCRequestHandler
    private let gate: ConnectionGate
    private let addresses: AddressRateLimiter
    private let admission: GuestAdmission
    private let bufferedInput: BufferedInputLimiter
    private let logger: Logger
    private let onListening: @Sendable (SocketAddress) -> Void

    /// - Parameters:
    ///   - configuration: the address to listen on, and limits.
    ///   - tls: the conductor's certificate, and the authorities of guests' certificates, as they are when a guest
    ///     connects. A connection is closed when its guest's certificate is revoked.
    ///   - requestHandler: carries requests out.
    ///   - logger: logs that the server listens, and connections at debug level.
    ///   - onListening: called with the address once the server listens.
    package init(
        configuration: Configuration, tls: LiveTLSContext, requestHandler: any RPCRequestHandler, logger: Logger,
        onListening: @escaping @Sendable (SocketAddress) -> Void = { _ in }
    ) {
        var configuration = configuration
        configuration.connection.ipv6PrefixLength = configuration.limits.ipv6PrefixLength
        self.configuration = configuration
        self.tls = tls
        self.requestHandler = requestHandler
        self.gate = ConnectionGate(configuration.limits, logger: logger)
        self.addresses = AddressRateLimiter(configuration.limits.newConnections, logger: logger)
        self.admission = GuestAdmission(configuration.limits, logger: logger)
        self.bufferedInput = BufferedInputLimiter(configuration.limits, logger: logger)
        self.logger = logger
        self.onListening = onListening
    }

    /// The counters of the connections now, and of those that were rejected.
    package var connections: ConnectionCounters {
        ConnectionCounters(self.gate, self.addresses, self.admission, self.bufferedInput)
    }

    /// Serves until the task is cancelled or a graceful shutdown begins. Then it accepts no more connections and
    /// requests, answers the requests that it has accepted (each connection for at most its drain timeout), and
    /// returns.
    ///
    /// - Throws: ``ConductorServerError`` if it cannot listen.
    package func run() async throws {
        // Two pools, so that strangers' handshakes and guests' long lines do not wait for each other.
        let background = (
            handshakes: BackgroundThreadPool(reportBatchSize: Self.handshakeStepsPerReport),
            lines: BackgroundThreadPool()
        )
        background.handshakes.start()
        background.lines.start()
        let result: Result<Void, any Error>
        do {
            try await self.serve(background)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        // No connection is left that could use them.
        await background.handshakes.stop()
        await background.lines.stop()
        try result.get()
    }

    private typealias Background = (handshakes: BackgroundThreadPool, lines: BackgroundThreadPool)

    private func serve(_ background: Background) async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let quiescing = ServerQuiescingHelper(group: group)
        let host = try ListenHost(self.configuration.host)
        let (channel, binding) = try await self.bind(host) { self.bootstrap(group, quiescing, background) }
        let drained = channel.eventLoop.makePromise(of: Void.self)
        if let address = channel.localAddress {
            // Called before the line is logged, so that a program that reads the line and stops the conductor can rely
            // on this call.
            self.onListening(address)
            for address in binding.addresses(of: address) {
                self.logger.info("Listening for guests", metadata: ["address": "\(address)"])
            }
        }
        let release = MemoryReleaser(logger: self.logger).start(on: channel.eventLoop) {
            [gate = self.gate] in gate.counts.open
        }
        defer { release.cancel() }
        let hasBegun = NIOLockedValueBox(false)
        let shutDown: @Sendable () -> Void = {
            // A graceful shutdown may be followed by a cancellation, but the helper accepts only one call.
            let isFirst = hasBegun.withLockedValue { hasBegun in
                defer { hasBegun = true }
                return !hasBegun
            }
            guard isFirst else { return }
            self.logger.info("Draining: answering accepted requests, accepting no more")
            quiescing.initiateShutdown(promise: drained)
        }
        await withTaskCancellationHandler {
            // Returns when the drain has ended. A graceful shutdown or a cancellation begins it.
            try? await withGracefulShutdownHandler {
                try await drained.futureResult.get()
            } onGracefulShutdown: {
                shutDown()
            }
        } onCancel: {
            shutDown()
        }
    }

    /// Binds to the host, in the first of its ways to listen that this machine supports.
    private func bind(
        _ host: ListenHost, _ bootstrap: () -> ServerBootstrap
    ) async throws(ConductorServerError) -> (any Channel, ListenHost.Binding) {
        let port = self.configuration.port
        var failure: any Error = IOError(errnoCode: EADDRNOTAVAIL, reason: "bind")
        for binding in host.bindings {
            do {
                let channel =
                    switch binding {
                    case .one(let address): try await bootstrap().bind(host: address, port: port).get()
                    case .all:
                        try await bootstrap()
                            .serverChannelOption(
                                ChannelOptions.Types.SocketOption(level: .ipv6, name: .ipv6_v6only), value: 0
                            )
                            .bind(to: SocketAddress(ipAddress: "::", port: port)).get()
                    }
                return (channel, binding)
            } catch {
                failure = error
                guard ListenHost.isOfMissingIPv6((error as? IOError)?.errnoCode) else { break }
            }
        }
        throw ConductorServerError(host: self.configuration.host, port: port, failure)
    }

    private func bootstrap(
        _ group: any EventLoopGroup, _ quiescing: ServerQuiescingHelper, _ background: Background
    ) -> ServerBootstrap {
        let configuration = self.configuration
        let (tls, requestHandler, logger) = (self.tls, self.requestHandler, self.logger)
        let (gate, addresses, admission) = (self.gate, self.addresses, self.admission)
        let bufferedInput = self.bufferedInput
        let timeouts = PendingConnectionHandler.Timeouts(
            hello: configuration.limits.helloTimeout, wait: configuration.handshakeTimeout)
        let (turns, requestFlush) = (ConnectionScheduler(), RequestFlushScheduler())
        return ServerBootstrap(group: group)
            // After an outage all guests connect at once, and a connection for which the kernel's queue has no space is
            // retried a second later. The kernel caps the queue at `net.core.somaxconn`.
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // Connections inherit it from their listener, which saves two system calls for each.
            .serverChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            // Accepts up to 16 waiting connections at a time, so that none waits long in the kernel's queue behind
            // hostile peers.
            .serverChannelOption(.maxMessagesPerRead, value: 16)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ConnectionGateAcceptHandler(gate))
                    try channel.pipeline.syncOperations.addHandler(
                        quiescing.makeServerChannelHandler(channel: channel))
                }
            }
            // One read at a time, of about the length of a TLS record, so that a guest that streams does not keep the
            // other guests of its event loop waiting.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 2048, maximum: 16 << 10)
            )
            // The end of a peer's input can come during a handshake step for its earlier input. It is handled after
            // that step.
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pending = PendingConnectionHandler(
                        gate, timeouts: timeouts, ipv6PrefixLength: configuration.limits.ipv6PrefixLength,
                        admits: { addresses.admits($0, $1, on: $2) }
                    ) { channel in
                        try channel.pipeline.syncOperations.addHandlers(
                            TLSHandler(
                                live: tls, serverName: nil, background: background.handshakes,
                                handshakeTimeout: configuration.handshakeTimeout),
                            HandshakeCompletionHandler(gate),
                            RPCServerHandler(
                                configuration: configuration.connection, requestHandler: requestHandler,
                                admission: admission, turns: turns, requestFlush: requestFlush,
                                bufferedInput: bufferedInput,
                                background: background.lines,
                                logger: logger))
                    }
                    try channel.pipeline.syncOperations.addHandler(pending)
                }
            }
    }
}

/// An error that keeps a server from listening.
package struct ConductorServerError: Error, Sendable, CustomStringConvertible {
    /// One sentence that names the setting and says what to do.
    package let description: String

    init(host: String, port: Int, _ error: any Error) {
        let reason: String
        switch (error as? IOError)?.errnoCode {
        case EADDRINUSE: reason = "another program listens there; choose another listen.port or stop it"
        case EACCES: reason = "this user may not listen there; choose a listen.port above 1023"
        case EAFNOSUPPORT: reason = "this machine has no IPv6; set listen.host to 0.0.0.0 or an IPv4 address"
        case EADDRNOTAVAIL: reason = "this machine has no such address; correct listen.host"
        default: reason = "\(error); check listen.host and listen.port"
        }
        self.description = "Cannot listen on \(host), listen.port \(port): \(reason)."
    }

    /// - Parameter problem: the problem with `listen.host`, as a clause.
    init(listenHost problem: String) { self.description = "listen.host \(problem)." }
}
