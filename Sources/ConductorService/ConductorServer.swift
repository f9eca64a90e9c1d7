package import ConductorRPC
import EventLoopFairness
package import Logging
import NIOConcurrencyHelpers
package import NIOCore
import NIOExtras
import NIOPosix
import ServiceLifecycle
package import TLSSocket

/// Listens for guests, and serves each connection with TLS, framing and a request handler.
package final class ConductorServer: Service {
    /// Where to listen, and each connection's limits.
    package struct Configuration: Sendable {
        /// An IP address of this machine, a name that stands for one, or `*` for all (``ListenHost``).
        package var host: String
        /// The TCP port; 0 lets the system choose.
        package var port: Int
        /// How long a TLS handshake may take.
        package var handshakeTimeout = TimeAmount.seconds(10)
        /// Each connection's limits.
        package var connection = RPCServerHandler.Configuration()
        /// The limits of all connections together, and of each guest's.
        package var limits = ConnectionLimits()

        /// The defaults, for this address.
        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    /// How many steps of handshakes are reported at a time: no more than take a millisecond or so.
    private static let stepsAtOnce = 4

    private let configuration: Configuration
    private let tls: LiveTLSContext
    private let requestHandler: any RPCRequestHandler
    private let gate: ConnectionGate
    private let addresses: AddressAdmission
    private let admission: GuestAdmission
    private let bufferedInput: BufferedInput
    private let logger: Logger
    private let onListening: @Sendable (SocketAddress) -> Void

    /// - Parameters:
    ///   - configuration: where to listen, and limits.
    ///   - tls: the conductor's certificate, and the authorities that guests must come from, as they are when a guest
    ///     connects; a connection is cut when its guest's certificate is revoked.
    ///   - requestHandler: carries requests out.
    ///   - logger: told when the server listens, and of connections at debug level.
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
        self.addresses = AddressAdmission(configuration.limits.newConnections, logger: logger)
        self.admission = GuestAdmission(configuration.limits, logger: logger)
        self.bufferedInput = BufferedInput(configuration.limits, logger: logger)
        self.logger = logger
        self.onListening = onListening
    }

    /// How many connections there are now, and how many were refused.
    package var connections: ConnectionCounters {
        ConnectionCounters(self.gate, self.addresses, self.admission, self.bufferedInput)
    }

    /// Serves until the task is cancelled or a graceful shutdown begins; then it takes no more connections or
    /// requests, answers what it has taken (each connection for its drain timeout at most), and returns.
    ///
    /// - Throws: ``ConductorServerError`` when it cannot listen.
    package func run() async throws {
        // Apart, so that strangers' handshakes and guests' long lines do not wait for each other.
        let background = (
            handshakes: BackgroundThreads(reportsAtOnce: Self.stepsAtOnce), lines: BackgroundThreads()
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
        // No connection is left that could want them.
        await background.handshakes.stop()
        await background.lines.stop()
        try result.get()
    }

    private typealias Background = (handshakes: BackgroundThreads, lines: BackgroundThreads)

    private func serve(_ background: Background) async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let quiescing = ServerQuiescingHelper(group: group)
        let host = try ListenHost(self.configuration.host)
        let (channel, binding) = try await self.bind(host) { self.bootstrap(group, quiescing, background) }
        let drained = channel.eventLoop.makePromise(of: Void.self)
        if let address = channel.localAddress {
            // First, so that whoever ends the conductor on reading the line ends one that has said so.
            self.onListening(address)
            for address in binding.addresses(of: address) {
                self.logger.info("Listening for guests", metadata: ["address": "\(address)"])
            }
        }
        let release = MemoryRelease(logger: self.logger).start(on: channel.eventLoop) {
            [gate = self.gate] in gate.counts.open
        }
        defer { release.cancel() }
        let hasBegun = NIOLockedValueBox(false)
        let shutDown: @Sendable () -> Void = {
            // A graceful shutdown may be followed by a cancellation; the helper takes one call.
            let isFirst = hasBegun.withLockedValue { hasBegun in
                defer { hasBegun = true }
                return !hasBegun
            }
            guard isFirst else { return }
            self.logger.info("Draining: requests that were taken are answered, no more are taken")
            quiescing.initiateShutdown(promise: drained)
        }
        await withTaskCancellationHandler {
            // Ends when the drain has: a graceful shutdown or a cancellation begins it.
            try? await withGracefulShutdownHandler {
                try await drained.futureResult.get()
            } onGracefulShutdown: {
                shutDown()
            }
        } onCancel: {
            shutDown()
        }
    }

    /// Binds to what the host stands for, in the first of its ways that this machine has.
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
        let (turns, requestFlush) = (ConnectionTurns(), RequestFlush())
        return ServerBootstrap(group: group)
            // After an outage all guests come at once, and whom the kernel finds no place for comes again a second later. It allows
            // `net.core.somaxconn` at most.
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // Connections have it from their listener, which saves each two system calls.
            .serverChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            // What comes is accepted at once, so that nobody waits in the kernel's queue behind hostile peers.
            .serverChannelOption(.maxMessagesPerRead, value: 16)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ConnectionGateListener(gate))
                    try channel.pipeline.syncOperations.addHandler(
                        quiescing.makeServerChannelHandler(channel: channel))
                }
            }
            // A read a look, of about a TLS record's length: what one guest sends in a stream does not keep the others of its event loop
            // waiting.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 2048, maximum: 16 << 10)
            )
            // The end of what a peer says waits for the step of a handshake that what it has said before calls for.
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
                            HandshakeWatch(gate),
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

/// Why a server cannot listen.
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

    /// - Parameter problem: what is wrong with `listen.host`, as a clause.
    init(listenHost problem: String) { self.description = "listen.host \(problem)." }
}
