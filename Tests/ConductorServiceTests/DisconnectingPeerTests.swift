// SPDX-License-Identifier: Apache-2.0

import ConductorService
import Glibc
import NIOCore
import NIOPosix
import Notifications
import Notifier
import RelayTesting
import TLSChannel
import Testing

/// Peers that send bytes and disconnect without waiting, over real sockets: the conductor processes the bytes, and
/// keeps nothing of the connection.
@Suite(.timeLimit(.minutes(2))) struct DisconnectingPeerTests {
    private static let ping = #"{"jsonrpc":"2.0","id":1,"method":"ping"}"# + "\n"
    private static let report = #"""
        {"jsonrpc":"2.0","method":"notify_end","params":{"context":{"operation":"database_create","request_id":"r",\#
        "tenant_id":"t","client_ip":"192.0.2.7","payload":{"instance_id":"inst-1","dbname":"d"}}}}
        """# + "\n"

    /// A client's engine on a blocking socket, so that the test decides when it disconnects, and no library closes it
    /// in an orderly way first.
    private final class Peer {
        let engine: TLSEngine
        let descriptor: Int32

        init(_ conductor: RunningConductor) throws {
            self.engine = try TLSEngine(context: conductor.certificates.client(), serverName: "localhost")
            self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(conductor.port).bigEndian
            address.sin_addr.s_addr = inet_addr("127.0.0.1")
            let isConnected = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(self.descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            try #require(isConnected)
            _ = self.engine.handshake()
            self.send()
        }

        deinit { close(self.descriptor) }

        /// Sends all bytes that the engine has, in one write.
        func send() {
            guard let bytes = self.engine.takeCiphertext() else { return }
            let count = bytes.withUnsafeReadableBytes { write(self.descriptor, $0.baseAddress, $0.count) }
            #expect(count == bytes.readableBytes)
        }

        /// Continues the handshake until this side has finished it; its last flight is not sent yet at that point.
        func finishHandshake() throws {
            while true {
                try #require(try self.receive() > 0)
                switch self.engine.handshake() {
                case .complete: return
                case .incomplete: self.send()
                case .failed(let error): throw error
                }
            }
        }

        /// - Returns: the number of received bytes; 0 when the conductor has closed, or reset, the connection.
        func receive() throws -> Int {
            var bytes = [UInt8](repeating: 0, count: 16_384)
            let count = recv(self.descriptor, &bytes, bytes.count, 0)
            if count > 0 { try self.engine.feed(ByteBuffer(bytes: bytes.prefix(count))) }
            return max(count, 0)
        }

        func leave() { shutdown(self.descriptor, Int32(SHUT_WR)) }

        func waitForEnd() throws { while try self.receive() > 0 {} }
    }

    private func withPeers(
        _ count: Int, _ conductor: RunningConductor, _ body: @escaping @Sendable (Peer) throws -> Void
    ) async throws {
        for _ in 0..<count {
            // Blocking calls need a thread of their own.
            try await NIOThreadPool.singleton.runIfActive { try body(try Peer(conductor)) }
        }
        while conductor.connections.connections > 0 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(conductor.connections.handshakes == 0)
    }

    @Test("The connection of a peer that disconnects after its ClientHello is removed")
    func closeAfterHello() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) { conductor in
            try await self.withPeers(20, conductor) { peer in
                peer.leave()
                try peer.waitForEnd()
            }
        }
    }

    @Test("A report in the last flight of a peer that disconnects is published")
    func reportWithLastFlight() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) { conductor in
            try await self.withPeers(20, conductor) { peer in
                try peer.finishHandshake()
                _ = peer.engine.write(ByteBuffer(string: Self.report))
                _ = peer.engine.shutdown()
                peer.send()
                peer.leave()
                try peer.waitForEnd()
            }
            #expect(conductor.counters.published == 20, "\(conductor.counters)")
        }
    }

    @Test("The connection of a peer that disconnects without close_notify is removed")
    func closeWithoutCloseNotify() async throws {
        try await withConductor(Notifier(drivers: [TestDriver()])) { conductor in
            try await self.withPeers(20, conductor) { peer in
                try peer.finishHandshake()
                _ = peer.engine.write(ByteBuffer(string: Self.ping))
                peer.send()
                var answer = ByteBuffer()
                while answer.readableBytes == 0 {
                    try #require(try peer.receive() > 0)
                    _ = peer.engine.read(into: &answer)
                }
                peer.leave()
                try peer.waitForEnd()
            }
        }
    }
}
