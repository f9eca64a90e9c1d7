// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NIOTLS
import TLSChannel

/// A connection to the conductor, with or without TLS, that can break the rules of the protocol.
final class HostileSocket: Sendable {
    private let channel: any Channel
    private let firstBytes: NIOLockedValueBox<[UInt8]>

    /// Whether the connection is open.
    var isOpen: Bool { self.channel.isActive }
    /// The first byte of the conductor's first record, on a connection without TLS: 22 is a ServerHello, 21 an alert.
    var firstByte: UInt8? { self.firstBytes.withLockedValue { $0.first } }

    /// Connects; with TLS, also performs the handshake. A conductor that rejects the certificate reports that only
    /// afterwards.
    ///
    /// - Parameters:
    ///   - tls: the TLS context; nil for the bare socket.
    ///   - address: the number of one of the attackers' addresses; the first is that of the attackers without
    ///     certificates.
    ///   - receiveBuffer: the size of the socket's buffer in bytes; nil for the system's.
    ///   - closesWhenSpokenTo: whether the bare socket is closed as soon as the conductor sends anything.
    ///   - onLine: called with each line that the conductor sends through TLS.
    static func open(
        _ target: Target, tls: TLSContext? = nil, from address: Int = 0, receiveBuffer: Int? = nil,
        closesWhenSpokenTo: Bool = false,
        onLine: (@Sendable (String) -> Void)? = nil
    ) async throws -> HostileSocket {
        let firstBytes = NIOLockedValueBox<[UInt8]>([])
        let ready = NIOLockedValueBox<EventLoopPromise<Void>?>(nil)
        var bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(10))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
        if let receiveBuffer {
            bootstrap = bootstrap.channelOption(
                .socketOption(.so_rcvbuf), value: .init(receiveBuffer))
        }
        let channel =
            try await bootstrap
            .bind(to: SocketAddress(ipAddress: Target.address(address), port: 0))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let tls else {
                        return try channel.pipeline.syncOperations.addHandler(
                            FirstByteHandler(firstBytes, closesWhenSpokenTo: closesWhenSpokenTo))
                    }
                    let promise = channel.eventLoop.makePromise(of: Void.self)
                    ready.withLockedValue { $0 = promise }
                    try channel.pipeline.syncOperations.addHandlers(
                        TLSHandler(context: tls, serverName: "127.0.0.1"),
                        AnswerCounter(target.tally, ready: promise, onLine: onLine))
                }
            }
            .connect(host: "127.0.0.1", port: target.port).get()
        try await ready.withLockedValue { $0 }?.futureResult.get()
        target.tally.add("opened")
        return HostileSocket(channel, firstBytes)
    }

    private init(_ channel: any Channel, _ firstBytes: NIOLockedValueBox<[UInt8]>) {
        self.channel = channel
        self.firstBytes = firstBytes
    }

    /// Sends bytes, and waits until the kernel has taken them.
    func send(_ bytes: [UInt8]) async throws { try await self.channel.writeAndFlush(ByteBuffer(bytes: bytes)) }

    /// Sends a text as it is.
    func send(_ text: String) async throws { try await self.channel.writeAndFlush(ByteBuffer(string: text)) }

    /// Sends without waiting, unless more bytes are buffered than a well-behaved program would leave.
    ///
    /// - Returns: whether it was sent.
    func sendIfWritable(_ text: String) -> Bool {
        guard self.channel.isWritable else { return false }
        self.channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
        return true
    }

    /// Sends a byte in each of this many records, unless more bytes are buffered than a well-behaved program would
    /// leave.
    ///
    /// - Returns: whether it was sent.
    func sendIfWritable(_ byte: UInt8, records: Int) -> Bool {
        guard self.channel.isWritable else { return false }
        self.channel.eventLoop.execute { [channel] in
            // Bytes that are flushed together form one record.
            for _ in 0..<records { channel.writeAndFlush(ByteBuffer(bytes: [byte]), promise: nil) }
        }
        return true
    }

    /// Sends bytes on the socket itself, past the established TLS.
    func sendBesideTLS(_ bytes: [UInt8]) async throws {
        try await self.channel.eventLoop.flatSubmit { [channel] in
            let sent = channel.eventLoop.makePromise(of: Void.self)
            do {
                let context = try channel.pipeline.syncOperations.context(handlerType: TLSHandler.self)
                context.writeAndFlush(NIOAny(ByteBuffer(bytes: bytes)), promise: sent)
            } catch {
                sent.fail(error)
            }
            return sent.futureResult
        }.get()
    }

    /// Stops reading.
    func stopReading() async throws { try await self.channel.setOption(.autoRead, value: false).get() }

    /// Shuts down the socket's writing side, without a close_notify.
    func halfClose() async throws {
        try await self.channel.eventLoop.flatSubmit { [channel] in
            let closed = channel.eventLoop.makePromise(of: Void.self)
            if let context = try? channel.pipeline.syncOperations.context(handlerType: TLSHandler.self) {
                context.close(mode: .output, promise: closed)
            } else {
                channel.close(mode: .output, promise: closed)
            }
            return closed.futureResult
        }.get()
    }

    /// Closes the connection with a reset.
    func reset() async {
        _ = try? await (self.channel as? any SocketOptionProvider)?.unsafeSetSocketOption(
            level: .socket, name: .so_linger, value: NoLinger()
        ).get()
        await self.drop()
    }

    /// Closes the socket without a close_notify.
    func drop() async {
        try? await self.channel.eventLoop.flatSubmit { [channel] in
            let closed = channel.eventLoop.makePromise(of: Void.self)
            if let context = try? channel.pipeline.syncOperations.context(handlerType: TLSHandler.self) {
                context.close(mode: .all, promise: closed)
            } else {
                channel.close(mode: .all, promise: closed)
            }
            return closed.futureResult
        }.get()
    }

    /// Waits until the conductor closes the connection, for at most this long, and then closes it.
    ///
    /// - Returns: whether the conductor closed it.
    @discardableResult
    func waitForClose(_ time: Duration) async -> Bool {
        let isOurs = NIOLockedValueBox(false)
        let timer = self.channel.eventLoop.scheduleTask(in: TimeAmount(time)) { [channel] in
            guard channel.isActive else { return }
            isOurs.withLockedValue { $0 = true }
            channel.close(promise: nil)
        }
        try? await self.channel.closeFuture.get()
        timer.cancel()
        return !isOurs.withLockedValue { $0 }
    }
}

/// The system's `struct linger`: on, with a time of zero.
private struct NoLinger {
    var isOn: Int32 = 1
    var seconds: Int32 = 0
}

/// Stores the first byte from the conductor, and discards the rest.
private final class FirstByteHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let firstBytes: NIOLockedValueBox<[UInt8]>
    private let closesWhenSpokenTo: Bool

    init(_ firstBytes: NIOLockedValueBox<[UInt8]>, closesWhenSpokenTo: Bool) {
        self.firstBytes = firstBytes
        self.closesWhenSpokenTo = closesWhenSpokenTo
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Self.unwrapInboundIn(data)
        self.firstBytes.withLockedValue { first in
            if first.isEmpty { first.append(contentsOf: bytes.readableBytesView.prefix(5)) }
        }
        if self.closesWhenSpokenTo { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// Counts answers by their content.
private final class AnswerCounter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    /// The maximum number of bytes of a line that are kept.
    private static let longestLine = 2048

    private let tally: Tally
    private let ready: EventLoopPromise<Void>
    private let onLine: (@Sendable (String) -> Void)?
    private var line: [UInt8] = []

    init(_ tally: Tally, ready: EventLoopPromise<Void>, onLine: (@Sendable (String) -> Void)?) {
        self.tally = tally
        self.ready = ready
        self.onLine = onLine
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted = event { self.ready.succeed() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        for byte in Self.unwrapInboundIn(data).readableBytesView {
            if byte == 0x0A {
                self.hear(String(decoding: self.line, as: UTF8.self))
                self.line.removeAll(keepingCapacity: true)
            } else if self.line.count < Self.longestLine {
                self.line.append(byte)
            }
        }
    }

    private func hear(_ line: String) {
        if let reason = line.firstMatch(of: #/"reason":"([a-z_]+)"/#) {
            self.tally.add("refused \(reason.output.1)")
        } else {
            self.tally.add("answered")
        }
        self.onLine?(line)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.ready.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.ready.fail(ChannelError.eof)
        context.fireChannelInactive()
    }
}
