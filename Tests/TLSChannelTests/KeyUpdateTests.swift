// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import NIOCore
import Testing

@testable import TLSChannel

/// The limit for a peer that renews its keys.
@Suite(.timeLimit(.minutes(2)))
struct KeyUpdateTests {
    let pair: EnginePair

    init() throws {
        self.pair = try EnginePair(TestIdentities())
        try self.pair.handshake()
    }

    @Test("All free key updates are accepted, and one more is rejected")
    func freeKeyUpdates() throws {
        for number in 1...TLSEngine.freeKeyUpdates {
            #expect(try self.renew(thenSend: 1) == 1, "\(number)")
        }
        let refusal = #expect(throws: TLSError.self) { try self.renew(thenSend: 1) }
        #expect(refusal == TLSEngine.keyUpdatesError)
    }

    @Test("Data that the peer sends earns more key updates")
    func earnedKeyUpdates() throws {
        for _ in 1...TLSEngine.freeKeyUpdates { try self.renew(thenSend: 1) }
        // Only data that has arrived already counts: data behind an update does not earn that same update.
        let earned = 3
        _ = try EnginePair.send(
            ByteBuffer(repeating: 0, count: earned * Int(TLSEngine.plaintextPerKeyUpdate)), self.pair.client,
            self.pair.server)
        for _ in 1...earned { #expect(try self.renew(thenSend: 1) == 1) }
        #expect(throws: TLSEngine.keyUpdatesError) { try self.renew(thenSend: 1) }
    }

    /// Makes the client renew its keys, request the same of the server, and send data. Returns the number of bytes that
    /// the server reads.
    @discardableResult
    private func renew(thenSend count: Int) throws -> Int {
        try #require(SSL_key_update(self.pair.client.ssl, SSL_KEY_UPDATE_REQUESTED) == 1)
        guard case .complete = self.pair.client.handshake() else { throw Unexpected() }
        guard case .complete = self.pair.client.write(ByteBuffer(repeating: 1, count: count)) else {
            throw Unexpected()
        }
        try EnginePair.carry(self.pair.client, self.pair.server)
        let (bytes, outcome) = EnginePair.readAll(self.pair.server)
        if case .failed(let error) = outcome { throw error }
        // The server renews its keys in response.
        guard case .complete = self.pair.server.write(ByteBuffer(repeating: 2, count: 1)) else { throw Unexpected() }
        try EnginePair.carry(self.pair.server, self.pair.client)
        try #require(EnginePair.readAll(self.pair.client).bytes.readableBytes == 1)
        return bytes.readableBytes
    }
}
