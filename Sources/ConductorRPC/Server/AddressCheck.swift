package import NIOCore
import NIOExtras

/// Stands alone in a new connection's pipeline until it is known where the connection comes from: who is not let in costs neither
/// TLS nor anything behind it.
package final class AddressCheck: ChannelInboundHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer

    private let admits: @Sendable (SocketAddress, any EventLoop) -> Bool
    private let setUp: @Sendable (any Channel) throws -> Void

    /// - Parameters:
    ///   - admits: whether whoever has this address is let in.
    ///   - setUp: adds the handlers of a connection that is let in, on its event loop.
    package init(
        admits: @escaping @Sendable (SocketAddress, any EventLoop) -> Bool,
        setUp: @escaping @Sendable (any Channel) throws -> Void
    ) {
        self.admits = admits
        self.setUp = setUp
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // The server stops: those who would have heard of it are not there yet.
        if event is ChannelShouldQuiesceEvent { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    package func channelActive(context: ChannelHandlerContext) {
        // Without an address it was gone when it was taken.
        guard let address = context.channel.remoteAddress, self.admits(address, context.eventLoop) else {
            context.close(promise: nil)
            return
        }
        do {
            try self.setUp(context.channel)
        } catch {
            context.fireErrorCaught(error)
            context.close(promise: nil)
            return
        }
        context.fireChannelActive()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}

/// Bound to its connection's event loop.
@available(*, unavailable)
extension AddressCheck: Sendable {}
