// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import NIOCore
import Testing

@testable import TLSChannel

@Suite(.timeLimit(.minutes(2)))
struct TLSEngineTests {
    let identities: TestIdentities

    init() throws {
        self.identities = try TestIdentities()
    }

    @Test("After the handshake each side knows the other's certificate")
    func peerIdentities() throws {
        let pair = try EnginePair(self.identities)
        try pair.handshake()
        #expect(pair.clientError == nil)
        #expect(pair.serverError == nil)
        #expect(pair.client.version == .tls13)
        #expect(pair.client.negotiatedProtocol == "conductor-rpc/1")
        #expect(pair.server.negotiatedProtocol == "conductor-rpc/1")
        let guest = try #require(pair.server.peerCertificate)
        #expect(guest.commonName == "guest")
        #expect(guest.uris == ["conductor:tenant/t1/instance/i1", "conductor:second"])
        #expect(guest.dnsNames.isEmpty)
        #expect(guest.serialNumber.count == 32)
        #expect(guest.sha256.count == 64)
        #expect(guest.notAfter > guest.notBefore)
        #expect(pair.client.peerCertificate?.dnsNames == ["localhost", "*.relay.test"])
        // No session can be resumed: the server has no ticket left to send.
        #expect(pair.server.takeCiphertext() == nil)
    }

    @Test("Data of any length arrives in both directions", arguments: [1, 300, 16_384, 16_385, 100_000, 5_000_000])
    func dataBothWays(count: Int) throws {
        let pair = try EnginePair(self.identities)
        try pair.handshake()
        let bytes = ByteBuffer(bytes: (0..<count).lazy.map { UInt8(truncatingIfNeeded: $0 &* 31) })
        #expect(try EnginePair.send(bytes, pair.client, pair.server) == bytes)
        #expect(try EnginePair.send(bytes, pair.server, pair.client) == bytes)
    }

    @Test("Records that arrive in small pieces are read whole")
    func splitRecords() throws {
        let pair = try EnginePair(self.identities)
        try pair.handshake()
        let bytes = ByteBuffer(repeating: 7, count: 20_000)
        _ = pair.client.write(bytes)
        var ciphertext = try #require(pair.client.takeCiphertext())
        var read = ByteBuffer()
        while let piece = ciphertext.readSlice(length: min(97, ciphertext.readableBytes)), piece.readableBytes > 0 {
            try pair.server.feed(piece)
            while case .bytes = pair.server.read(into: &read) {}
        }
        #expect(read == bytes)
    }

    @Test("An empty write makes no record")
    func emptyWrite() throws {
        let pair = try EnginePair(self.identities)
        try pair.handshake()
        guard case .complete = pair.client.write(ByteBuffer()) else { throw Unexpected() }
        #expect(pair.client.takeCiphertext() == nil)
    }

    @Test("A write before the handshake fails and sends nothing")
    func writeBeforeHandshake() throws {
        let pair = try EnginePair(self.identities)
        guard case .failed(let error) = pair.client.write(ByteBuffer(string: "x")) else { throw Unexpected() }
        #expect(error.code == .connectionFailed)
        #expect(pair.client.takeCiphertext() == nil)
    }

    @Test("Small writes share records")
    func smallWrites() throws {
        let pair = try EnginePair(self.identities)
        try pair.handshake()
        var packer = RecordPacker(engine: pair.client)
        var expected = ByteBuffer()
        for index in 0..<200 {
            let write = ByteBuffer(repeating: UInt8(index), count: 300)
            expected.writeImmutableBuffer(write)
            #expect(packer.add(write, isLast: index == 199) == nil)
        }
        let ciphertext = try #require(pair.client.takeCiphertext())
        #expect(recordLengths(ciphertext).count == 4)
        try pair.server.feed(ciphertext)
        #expect(EnginePair.readAll(pair.server).bytes == expected)
    }

    @Test(
        "Packing writes into full records keeps their order and their bytes",
        arguments: [[40_000, 10, 40_000], [10, 16_384, 0, 5], [16_384], [1, 16_383, 1], [0, 0], [0, 50_000]])
    func packing(sizes: [Int]) throws {
        let pair = try EnginePair(self.identities)
        try pair.handshake()
        var packer = RecordPacker(engine: pair.client)
        var expected = ByteBuffer()
        for (index, size) in sizes.enumerated() {
            let write = ByteBuffer(bytes: (0..<size).lazy.map { UInt8(truncatingIfNeeded: $0 + index) })
            expected.writeImmutableBuffer(write)
            #expect(packer.add(write, isLast: index == sizes.count - 1) == nil)
        }
        let ciphertext = pair.client.takeCiphertext() ?? ByteBuffer()
        #expect(recordLengths(ciphertext).count == (sizes.reduce(0, +) + 16_383) / 16_384)
        try pair.server.feed(ciphertext)
        #expect(EnginePair.readAll(pair.server).bytes == expected)
    }

    @Test("close_notify arrives after the data, and closes only its own direction")
    func closeNotify() throws {
        let pair = try EnginePair(self.identities)
        try pair.handshake()
        _ = pair.client.write(ByteBuffer(string: "last words"))
        guard case .incomplete = pair.client.shutdown() else { throw Unexpected() }
        try EnginePair.carry(pair.client, pair.server)
        let (bytes, outcome) = EnginePair.readAll(pair.server)
        #expect(String(buffer: bytes) == "last words")
        guard case .closed = outcome else { throw Unexpected() }
        // TLS closes each direction separately: the answer may still be sent.
        #expect(String(buffer: try EnginePair.send(ByteBuffer(string: "bye"), pair.server, pair.client)) == "bye")
        guard case .complete = pair.server.shutdown() else { throw Unexpected() }
        try EnginePair.carry(pair.server, pair.client)
        guard case .closed = EnginePair.readAll(pair.client).outcome else { throw Unexpected() }
        guard case .complete = pair.client.shutdown() else { throw Unexpected() }
    }

    @Test("A stale OpenSSL error of the thread does not break a healthy connection")
    func staleError() throws {
        let pair = try EnginePair(self.identities)
        pollute()
        try pair.handshake()
        #expect(pair.clientError == nil)
        pollute()
        guard case .incomplete = EnginePair.readAll(pair.client).outcome else { throw Unexpected() }
        _ = pair.client.write(ByteBuffer(string: "x"))
        pollute()
        try EnginePair.carry(pair.client, pair.server)
        pollute()
        let (bytes, outcome) = EnginePair.readAll(pair.server)
        #expect(bytes.readableBytes == 1)
        guard case .incomplete = outcome else { throw Unexpected() }
    }

    @Test("A record that was tampered with fails the connection on both sides")
    func tamperedRecord() throws {
        let pair = try EnginePair(self.identities)
        try pair.handshake()
        _ = pair.client.write(ByteBuffer(string: "hello"))
        var ciphertext = try #require(pair.client.takeCiphertext())
        let last = ciphertext.writerIndex - 1
        ciphertext.setInteger(~(try #require(ciphertext.getInteger(at: last, as: UInt8.self))), at: last)
        try pair.server.feed(ciphertext)
        guard case .failed(let error) = EnginePair.readAll(pair.server).outcome else { throw Unexpected() }
        #expect(error.code == .connectionFailed)
        try EnginePair.carry(pair.server, pair.client)
        guard case .failed(let alert) = EnginePair.readAll(pair.client).outcome else { throw Unexpected() }
        #expect(alert.code == .refusedByPeer)
    }

    private func pollute() {
        #expect(BIO_new_file("/nonexistent/file.pem", "r") == nil)
    }
}

struct Unexpected: Error {}
