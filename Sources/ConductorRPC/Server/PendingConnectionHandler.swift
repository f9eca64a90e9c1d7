// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import NIOExtras

/// The only handler in a new connection's pipeline until its ClientHello is complete and there is a place for its
/// handshake. Until then an unknown peer costs neither TLS nor any later handler.
///
/// The deadline is for the whole ClientHello, so a peer gains nothing by sending it one byte at a time.
package final class PendingConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = Never
    package typealias OutboundOut = Never

    /// The timeouts of a pending connection.
    package struct Timeouts: Sendable {
        /// The time for its complete ClientHello.
        package var hello: TimeAmount
        /// The time for a place, once the ClientHello is complete.
        package var wait: TimeAmount

        /// Timeouts of these values.
        package init(hello: TimeAmount, wait: TimeAmount) {
            self.hello = hello
            self.wait = wait
        }
    }

    private enum State {
        case new
        case silent
        case waiting
        case done
    }

    private let gate: ConnectionGate
    private let timeouts: Timeouts
    private let ipv6PrefixLength: Int
    private let admits: @Sendable (NetworkAddress, SocketAddress, any EventLoop) -> Bool
    private let setUp: @Sendable (any Channel) throws -> Void
    private var state = State.new
    private var scanner = ClientHelloStateMachine()
    private var bytes = ByteBuffer()
    private var deadline: Scheduled<Void>?
    private var heldRead = false
    private var isEndDeferred = false

    /// - Parameters:
    ///   - gate: the server's gate.
    ///   - timeouts: the connection's timeouts.
    ///   - ipv6PrefixLength: how many bits of an IPv6 address count.
    ///   - admits: returns whether this address may connect once more.
    ///   - setUp: adds the handlers of a connection whose handshake begins, on its event loop.
    package init(
        _ gate: ConnectionGate, timeouts: Timeouts, ipv6PrefixLength: Int = NetworkAddress.defaultIPv6PrefixLength,
        admits: @escaping @Sendable (NetworkAddress, SocketAddress, any EventLoop) -> Bool = { _, _, _ in true },
        setUp: @escaping @Sendable (any Channel) throws -> Void
    ) {
        self.gate = gate
        self.timeouts = timeouts
        self.ipv6PrefixLength = ipv6PrefixLength
        self.admits = admits
        self.setUp = setUp
    }

    package func channelActive(context: ChannelHandlerContext) {
        // A connection without an address was closed before it was accepted.
        guard let address = context.channel.remoteAddress,
            let network = NetworkAddress(address, ipv6PrefixLength: self.ipv6PrefixLength),
            self.admits(network, address, context.eventLoop)
        else {
            context.close(promise: nil)
            return
        }
        self.state = .silent
        self.schedule(in: self.timeouts.hello, context: context)
        // The gate may still close the connection after this handler is removed.
        let channel = NIOLoopBound(context.channel, eventLoop: context.eventLoop)
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        self.gate.accepted(context.channel, from: network) { command in
            switch command {
            case .begin: bound.value.handler.begin(context: bound.value.context)
            case .close: channel.value.close(promise: nil)
            }
        }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let more = Self.unwrapInboundIn(data)
        switch self.state {
        case .new, .done: return
        case .waiting: self.bytes.writeImmutableBuffer(more)
        case .silent:
            self.scanner.append(more.readableBytesView)
            if self.bytes.readableBytes == 0 { self.bytes = more } else { self.bytes.writeImmutableBuffer(more) }
            guard self.scanner.isComplete else { return }
            self.state = .waiting
            self.schedule(in: self.timeouts.wait, context: context)
            self.gate.helloCompleted(context.channel)
        }
    }

    package func read(context: ChannelHandlerContext) {
        // Input after the ClientHello is not read before the handshake begins.
        if self.state == .waiting { self.heldRead = true } else { context.read() }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            // The server stops. The handlers that would react to the event are not in the pipeline yet.
            context.close(promise: nil)
        } else if case .some(.inputClosed) = event as? ChannelEvent {
            if self.state == .waiting { self.isEndDeferred = true } else { context.close(promise: nil) }
            return
        }
        context.fireUserInboundEventTriggered(event)
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    package func channelInactive(context: ChannelHandlerContext) {
        self.end()
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.end() }

    private func end() {
        self.state = .done
        self.deadline?.cancel()
        self.deadline = nil
        self.bytes = ByteBuffer()
    }

    private func schedule(in timeout: TimeAmount, context: ChannelHandlerContext) {
        self.deadline?.cancel()
        self.deadline = context.eventLoop.assumeIsolated().scheduleTask(in: timeout) { context.close(promise: nil) }
    }

    /// Hands the connection off to its handlers, with the bytes received so far.
    private func begin(context: ChannelHandlerContext) {
        guard self.state == .waiting else { return }
        let bytes = self.bytes
        self.end()
        do {
            try self.setUp(context.channel)
        } catch {
            context.fireErrorCaught(error)
            context.close(promise: nil)
            return
        }
        context.fireChannelActive()
        context.fireChannelRead(Self.wrapInboundOut(bytes))
        context.fireChannelReadComplete()
        if self.isEndDeferred { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
        if self.heldRead { context.read() }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}

/// Bound to its connection's event loop.
@available(*, unavailable)
extension PendingConnectionHandler: Sendable {}
