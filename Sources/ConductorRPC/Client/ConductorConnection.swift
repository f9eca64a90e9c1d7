// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import NIOPosix
import Notifications
package import TLSChannel

/// A guest's connection to a conductor. It pipelines calls, which may come from any thread; answers come in any order.
package final class ConductorConnection: Sendable {
    /// Limits and deadlines of a connection.
    package struct Configuration: Sendable {
        /// The longest line, in bytes without its end. A longer request is rejected on this side, as the conductor
        /// would reject it.
        package var maximumLineLength = RPCProtocol.defaultMaximumLineLength
        /// The timeout for TCP, and again for TLS.
        package var connectTimeout = TimeAmount.seconds(10)
        /// The time that calls may wait while no answer arrives at all, before the connection counts as dead and is
        /// closed. A single call may wait ten times as long.
        package var answerTimeout = TimeAmount.seconds(60)
        /// The time without a call after which the connection sends a `ping`. So the conductor does not close the
        /// connection as idle (`limits.idle_timeout`), and a conductor that disappeared silently is detected.
        package var keepAlive = TimeAmount.minutes(10)

        /// The defaults.
        package init() {}
    }

    private let channel: any Channel
    private let outbox: CallOutbox
    private let configuration: Configuration
    private let sendCalls: @Sendable () -> Void

    /// A future that completes when either side has closed the connection.
    package var closeFuture: EventLoopFuture<Void> { self.channel.closeFuture }
    /// The reason why the connection is closed, once it is. With TLS 1.3 a conductor's rejection of this side's
    /// certificate is known only then.
    package var closeReason: String { self.outbox.closeReason }
    /// The pause that the conductor asked for when it closed the connection. A caller that obeys it must bound it.
    package var requestedPause: Duration { self.outbox.requestedPause }

    /// Connects, and returns when both sides have proved their identities.
    ///
    /// - Parameters:
    ///   - host: a DNS name or an IP address, which the conductor's certificate must name.
    ///   - port: the TCP port.
    ///   - tls: this side's certificate and the authorities that it trusts, in their present version. The connection is
    ///     closed when the conductor's certificate is revoked.
    ///   - group: provides the connection's event loop.
    ///   - configuration: limits and deadlines.
    ///   - resolver: finds the host's addresses; nil for the system's resolver.
    /// - Throws: ``RPCCallError/connectionLost(_:)`` with the reason, ``ConnectError`` when TCP does not connect, or
    ///   a `CancellationError` at once when the task is cancelled.
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
            // Not in the channel's initializer: for a host with several addresses several channels are tried, and the
            // failure of one of them must not end the connection.
            .flatMapThrowing { channel in
                try channel.pipeline.syncOperations.addHandlers(
                    TLSHandler(live: tls, serverName: host, handshakeTimeout: configuration.connectTimeout),
                    RPCClientHandler(outbox: outbox, configuration: configuration, handshake: handshake))
                return channel
            }
        opening.whenFailure { error in
            handshake.fail((error as? NIOConnectionError).map { ConnectError($0) as any Error } ?? error)
        }
        opening.whenSuccess { channel in
            // Also after a cancellation: by then nothing else refers to the channel.
            handshake.futureResult.whenFailure { _ in channel.close(promise: nil) }
        }
        let sendCalls = try await withTaskCancellationHandler {
            try await handshake.futureResult.get()
        } onCancel: {
            // A promise keeps the first of several results.
            handshake.fail(CancellationError())
        }
        return ConductorConnection(try await opening.get(), outbox, configuration, sendCalls: sendCalls)
    }

    /// Connects with certificates that are never renewed.
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
    /// - Important: this connection does not limit the calls in flight; the caller must.
    package func call(_ call: RPCCall, completion: @escaping RPCCompletion) {
        guard let id = self.outbox.nextID() else {
            completion(.failure(.connectionLost(self.outbox.closeReason)))
            return
        }
        let json = RPCRequest(id: .number(.init(id)), call: call).json
        guard !JSONValue.object(json).nests(deeperThan: RPCProtocol.maximumDepth) else {
            // The conductor would not read as far as the id, so its answer could not be tied to this call.
            let message = "The request nests deeper than \(RPCProtocol.maximumDepth)."
            completion(.failure(.rejected(RPCError(.invalidRequest, message))))
            return
        }
        guard JSONValue.object(json).valueCount <= RPCProtocol.maximumValues else {
            let message = "The request has more than \(RPCProtocol.maximumValues) values."
            completion(.failure(.rejected(RPCError(.invalidRequest, message))))
            return
        }
        let line = RPCRequest.line(of: json)
        let limit = self.configuration.maximumLineLength
        guard line.count - 1 <= limit else {
            let message = "The request is a line of \(line.count - 1) bytes; at most \(limit) are accepted."
            completion(.failure(.rejected(RPCError(.tooLarge, message, limitBytes: limit))))
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
