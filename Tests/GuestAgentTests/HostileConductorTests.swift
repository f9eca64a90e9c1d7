// SPDX-License-Identifier: Apache-2.0

import GuestAgent
import GuestSpool
import LogTesting
import Logging
import NIOCore
import NIOPosix
import Notifications
import Notifier
import RelayTesting
import ServiceLifecycle
import TLSChannel
import Testing

/// A way in which a peer with a conductor's certificate violates the protocol.
enum Misbehaviour: String, CaseIterable, Sendable {
    case closesAtOnce, saysGarbage, saysEndlessLine, answersUnknownID, answersNullErrorToTwo, answersTwice
    case answersMistypedResult, neverHandshakes, speaksPlainText
    case answersAsToAPing, answersForAnotherOutcome

    /// The text that it sends for each read; nil closes the connection.
    var answer: String? {
        switch self {
        case .closesAtOnce: nil
        case .saysGarbage: "\u{0}garbage\n"
        case .saysEndlessLine: String(repeating: "x", count: 2 << 20)
        case .answersUnknownID: #"{"jsonrpc":"2.0","id":99999,"result":{"version":"1"}}"# + "\n"
        case .answersNullErrorToTwo:
            #"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m","data":{"retryable":true}}}"# + "\n"
        case .answersTwice: String(repeating: #"{"jsonrpc":"2.0","id":"1","result":{"version":"1"}}"# + "\n", count: 2)
        case .answersMistypedResult: #"{"jsonrpc":"2.0","id":1,"result":[1]}"# + "\n"
        case .answersAsToAPing: Self.toEach(#"{"version":"1"}"#)
        case .answersForAnotherOutcome:
            Self.toEach(#"{"message_id":"00000000-0000-4000-8000-000000000000","disposition":"published"}"#)
        case .neverHandshakes, .speaksPlainText: ""
        }
    }
}

extension Misbehaviour {
    /// Returns the result as an answer to each of the first requests.
    private static func toEach(_ result: String) -> String {
        (1...4).map { #"{"jsonrpc":"2.0","id":\#($0),"result":\#(result)}"# + "\n" }.joined()
    }
}

private final class Misbehaving: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private let misbehaviour: Misbehaviour

    init(_ misbehaviour: Misbehaviour) { self.misbehaviour = misbehaviour }

    func channelActive(context: ChannelHandlerContext) {
        if self.misbehaviour == .speaksPlainText { self.write("220 mail.example.org ESMTP\r\n", context) }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let answer = self.misbehaviour.answer else {
            context.close(promise: nil)
            return
        }
        if !answer.isEmpty { self.write(answer, context) }
    }

    private func write(_ text: String, _ context: ChannelHandlerContext) {
        context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// An agent whose first conductor violates the protocol.
@Suite(.timeLimit(.minutes(2))) struct HostileConductorTests {
    @Test(
        "Outcomes reach the next conductor when the first one violates the protocol", arguments: Misbehaviour.allCases)
    func protocolViolations(misbehaviour: Misbehaviour) async throws {
        let certificates = try TestCertificates()
        let tls = try certificates.server()
        let speaksTLS = misbehaviour != .neverHandshakes && misbehaviour != .speaksPlainText
        let hostile = try await ServerBootstrap(group: TestEventLoops.group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if speaksTLS {
                        try channel.pipeline.syncOperations.addHandler(TLSHandler(context: tls, serverName: nil))
                    }
                    try channel.pipeline.syncOperations.addHandler(Misbehaving(misbehaviour))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let driver = TestDriver()
        let logger = Logger.quiet
        try await withConductor(Notifier(drivers: [driver]), certificates: certificates) { conductor in
            var configuration = GuestAgent.Configuration.test(
                ports: [try #require(hostile.localAddress?.port), conductor.port], certificates: certificates)
            configuration.answerTimeout = .seconds(1)
            configuration.connectTimeout = .milliseconds(500)
            let agent = try GuestAgent(configuration: configuration, outbox: MemoryOutbox(), logger: logger)
            let group = ServiceGroup(configuration: .init(services: [.init(service: agent)], logger: logger))
            async let running: Void = group.run()
            for _ in 1...2 { try await agent.notify(.end(payload: [:]), context: SampleReport.context()) }
            await group.triggerGracefulShutdown()
            try await running
            let counts = try await agent.counts()
            #expect((counts.delivered, counts.setAside, counts.waiting) == (2, 0, 0))
        }
        // On a slow machine the agent may disconnect even from the good conductor before it answers. It
        // then sends the outcomes again under the same message ids.
        #expect(Set(driver.notifications.map(\.messageID)).count == 2)
        try await hostile.close()
    }
}
