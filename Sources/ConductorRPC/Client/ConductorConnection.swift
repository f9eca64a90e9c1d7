package import NIOCore
package import NIOPosix
import Notifications
package import TLSSocket

/// A guest's connection to a conductor: pipelines calls, in any order from any thread.
package final class ConductorConnection: Sendable {
    /// Limits and deadlines of a connection.
    package struct Configuration: Sendable {
        /// The longest line, in bytes without its end; a longer request is refused here, as the conductor would.
        package var maximumLineLength = RPCProtocol.defaultMaximumLineLength
        /// How long to wait for TCP, and again for TLS.
        package var connectTimeout = TimeAmount.seconds(10)
        /// How long calls may wait while no answer arrives at all before the connection counts as dead and is closed. A single
        /// call may wait ten times as long.
        package var answerTimeout = TimeAmount.seconds(60)
        /// After how long without a call the conductor is asked whether it is there: it does not take the connection for
        /// one that was left (`limits.idle_timeout`), and one that is gone without a word is noticed.
        package var keepAlive = TimeAmount.minutes(10)

        /// The defaults.
        package init() {}
    }

    private let channel: any Channel
    private let outbox: CallOutbox
    private let configuration: Configuration
    private let sendCalls: @Sendable () -> Void

    /// Completes when the connection is closed, whoever closed it.
    package var closeFuture: EventLoopFuture<Void> { self.channel.closeFuture }
    /// Why it was closed, once it is: with TLS 1.3 a conductor's refusal of this side's certificate comes only then.
    package var closeReason: String { self.outbox.closeReason }
    /// For how long the conductor wants to be left alone, as it said when it closed the connection. Whoever obeys it bounds
    /// it.
    package var askedPause: Duration { self.outbox.askedPause }

    /// Connects, and returns when both sides have proved who they are.
    ///
    /// - Parameters:
    ///   - host: a DNS name or an IP address, which the conductor's certificate must name.
    ///   - port: the TCP port.
    ///   - tls: this side's certificate and the authorities it trusts, as they are now; the connection is cut when the
    ///     conductor's certificate is revoked.
    ///   - group: where the connection gets its event loop.
    ///   - configuration: limits and deadlines.
    ///   - resolver: finds the host's addresses; nil for the system's.
    /// - Throws: ``RPCCallError/connectionLost(_:)`` with the reason, ``ConnectFailure`` when TCP does not connect, or a
    ///   `CancellationError` at once when the task is cancelled.
    package static func connect(
        host: String, port: Int, tls: LiveTLSContext, group: any EventLoopGroup,
        configuration: Configuration = Configuration(), resolver: (any Resolver & Sendable)? = nil
    ) async throws -> ConductorConnection {
        let outbox = CallOutbox()
        let eventLoop = group.next()
        let handshake = eventLoop.makePromise(of: (@Sendable () -> Void).self)
        let opening = ClientBootstrap(group: eventLoop)
            .resolver(resolver)
            .connectTimeout(configuration.connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connect(host: host, port: port)
            // Not in the channel's initializer: of a name with several addresses several channels are tried, and the end
            // of one that failed must not end the connection.
            .flatMapThrowing { channel in
                try channel.pipeline.syncOperations.addHandlers(
                    TLSHandler(live: tls, serverName: host, handshakeTimeout: configuration.connectTimeout),
                    RPCClientHandler(outbox: outbox, configuration: configuration, handshake: handshake))
                return channel
            }
        opening.whenFailure { error in
            handshake.fail((error as? NIOConnectionError).map { ConnectFailure($0) as any Error } ?? error)
        }
        opening.whenSuccess { channel in
            // Also after a cancellation: by then nobody else knows of the channel.
            handshake.futureResult.whenFailure { _ in channel.close(promise: nil) }
        }
        let sendCalls = try await withTaskCancellationHandler {
            try await handshake.futureResult.get()
        } onCancel: {
            // Of several results a promise takes the first.
            handshake.fail(CancellationError())
        }
        return ConductorConnection(try await opening.get(), outbox, configuration, sendCalls: sendCalls)
    }

    /// The same with certificates that are never renewed.
    package static func connect(
        host: String, port: Int, tls: TLSContext, group: any EventLoopGroup,
        configuration: Configuration = Configuration(), resolver: (any Resolver & Sendable)? = nil
    ) async throws -> ConductorConnection {
        try await self.connect(
            host: host, port: port, tls: LiveTLSContext(tls), group: group, configuration: configuration,
            resolver: resolver)
    }

    private init(
        _ channel: any Channel, _ outbox: CallOutbox, _ configuration: Configuration,
        sendCalls: @escaping @Sendable () -> Void
    ) {
        self.channel = channel
        self.outbox = outbox
        self.configuration = configuration
        self.sendCalls = sendCalls
    }

    /// Sends a call.
    ///
    /// - Important: calls are not held back here: the caller bounds how many it has in flight.
    package func call(_ call: RPCCall, completion: @escaping RPCCompletion) {
        guard let id = self.outbox.nextID() else {
            completion(.failure(.connectionLost(self.outbox.closeReason)))
            return
        }
        let json = RPCRequest(id: .number(.init(id)), call: call).json
        guard !JSONValue.object(json).nests(deeperThan: RPCProtocol.maximumDepth) else {
            // The conductor would not get as far as the id, and its answer could not be tied to this call.
            let message = "The request nests deeper than \(RPCProtocol.maximumDepth)."
            completion(.failure(.refused(RPCError(.invalidRequest, message))))
            return
        }
        guard JSONValue.object(json).valueCount <= RPCProtocol.maximumValues else {
            let message = "The request has more than \(RPCProtocol.maximumValues) values."
            completion(.failure(.refused(RPCError(.invalidRequest, message))))
            return
        }
        let line = RPCRequest.line(of: json)
        let limit = self.configuration.maximumLineLength
        guard line.count - 1 <= limit else {
            let message = "The request is a line of \(line.count - 1) bytes; \(limit) are taken."
            completion(.failure(.refused(RPCError(.tooLarge, message, limitBytes: limit))))
            return
        }
        let (isTaken, isFirst) = self.outbox.append(.init(id: id, line: line, completion: completion))
        if isFirst { self.channel.eventLoop.execute(self.sendCalls) }
        if !isTaken { completion(.failure(.connectionLost(self.outbox.closeReason))) }
    }

    /// Sends a call and waits for its reply.
    package func call(_ call: RPCCall) async throws -> RPCReply {
        try await withCheckedThrowingContinuation { continuation in
            self.call(call) { continuation.resume(with: $0) }
        }
    }

    /// Begins to close the connection and does not wait for its end; calls in flight fail as lost.
    package func beginClosing() { self.channel.close(promise: nil) }

    /// Closes the connection; calls in flight fail as lost.
    package func close() async {
        self.beginClosing()
        _ = try? await self.channel.closeFuture.get()
    }
}
