// SPDX-License-Identifier: Apache-2.0

import CertificateIssuing
import NIOCore
import TLSChannel
import Testing

@testable import ConductorRPC

@Suite struct ClientHelloStateMachineTests {
    private func record(_ body: [UInt8], kind: UInt8 = 22) -> [UInt8] {
        [kind, 3, 1, UInt8(body.count >> 8), UInt8(body.count & 0xFF)] + body
    }

    private func message(_ length: Int, kind: UInt8 = 1) -> [UInt8] {
        [kind, UInt8(length >> 16), UInt8(length >> 8 & 0xFF), UInt8(length & 0xFF)]
            + [UInt8](repeating: 7, count: length)
    }

    /// Returns the number of bytes after which the ClientHello is complete, given in pieces; nil when it never is.
    private func completeAfter(_ bytes: [UInt8], pieces: Int) -> Int? {
        var scanner = ClientHelloStateMachine()
        for start in stride(from: 0, to: bytes.count, by: pieces) {
            let end = min(start + pieces, bytes.count)
            scanner.append(ByteBuffer(bytes: bytes[start..<end]).readableBytesView)
            if scanner.isComplete { return end }
        }
        return nil
    }

    @Test(
        "A ClientHello is complete with its last byte, in any pieces and records",
        arguments: [1, 2, 3, 7, 100, 100_000])
    func completeWithLastByte(pieces: Int) {
        let hello = self.record(self.message(300))
        #expect(self.completeAfter(hello, pieces: pieces) == hello.count)
        #expect(self.completeAfter(Array(hello.dropLast()), pieces: pieces) == nil)
        // In several records, some of one byte.
        let bytes = self.message(300)
        let split = [1, 1, 2, 5, 200].reduce(into: (rest: bytes[...], records: [UInt8]())) { state, count in
            state.records += self.record(Array(state.rest.prefix(count)))
            state.rest = state.rest.dropFirst(count)
        }
        let all = split.records + self.record(Array(split.rest))
        #expect(self.completeAfter(all, pieces: pieces) == all.count)
    }

    /// TLS rejects each of these with an error of its own.
    @Test(
        "Input that cannot become a ClientHello counts as complete",
        arguments: [
            Array("GET / HTTP/1.1\r\n".utf8), [21, 3, 1, 0, 2, 2, 40], [22, 2], [22, 3, 1, 0, 0],
            [22, 3, 1, 0, 4, 2, 0, 0, 0],
            [22, 3, 1, 0, 4, 1, 255, 255, 255], [0], [0x80, 0x2E, 1, 3, 1],
        ])
    func invalidInput(bytes: [UInt8]) {
        #expect(self.completeAfter(bytes, pieces: 1) != nil)
        #expect(self.completeAfter(bytes, pieces: 1000) != nil)
    }

    @Test("The ClientHello of OpenSSL is complete with its last byte")
    func openSSLHello() throws {
        let certificates = try CertificateAuthority.create(commonName: "test authority", validity: .days(1))
        let client = try certificates.issueClient(commonName: "inst-1", uris: [], validity: .days(1))
        let engine = try TLSEngine(
            context: TLSContext(
                configuration: TLSConfiguration(
                    role: .client, certificateChain: .pem(client.certificatePEM),
                    privateKey: .pem(client.privateKeyPEM),
                    trustRoots: .pem(certificates.certificatePEM),
                    applicationProtocols: [RPCProtocol.applicationProtocol])), serverName: "localhost")
        _ = engine.handshake()
        let hello = try #require(engine.takeCiphertext())
        #expect(self.completeAfter(Array(hello.readableBytesView), pieces: 1) == hello.readableBytes)
    }

    /// The headers of records count too, so that a peer cannot send a stream without end.
    @Test("A ClientHello in many tiny records counts as complete after a bounded length")
    func boundedLength() {
        let bytes = self.message(30_000).flatMap { self.record([$0]) }
        let end = self.completeAfter(bytes, pieces: 1000)
        #expect(end != nil && end! <= 2 * ClientHelloStateMachine.longestHello + 1000)
    }
}
