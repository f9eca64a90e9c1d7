// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import NIOCore
import Testing

@testable import TLSChannel

/// A peer that renews its keys: how often is enough.
@Suite(.timeLimit(.minutes(2)))
struct KeyUpdateTests {
    let pair: EnginePair

    init() throws {
        self.pair = try EnginePair(TestIdentities())
        try self.pair.handshake()
    }

    @Test func asManyAsAreFreeAreTakenAndOneMoreIsNot() throws {
        for number in 1...TLSEngine.freeKeyUpdates {
            #expect(try self.renew(thenSend: 1) == 1, "\(number)")
        }
        let refusal = #expect(throws: TLSError.self) { try self.renew(thenSend: 1) }
        #expect(refusal == TLSEngine.keyUpdatesError)
    }

    @Test func dataEarnsMore() throws {
        for _ in 1...TLSEngine.freeKeyUpdates { try self.renew(thenSend: 1) }
        // Counts with what has come so far only: what comes behind an update does not earn that same one.
        let earned = 3
        _ = try EnginePair.send(
            ByteBuffer(repeating: 0, count: earned * Int(TLSEngine.plaintextPerKeyUpdate)), self.pair.client,
            self.pair.server)
        for _ in 1...earned { #expect(try self.renew(thenSend: 1) == 1) }
        #expect(throws: TLSEngine.keyUpdatesError) { try self.renew(thenSend: 1) }
    }

    /// The client renews its keys, asks the server for the same, and sends something; how much of that the server reads.
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
        // What the server renews in answer.
        guard case .complete = self.pair.server.write(ByteBuffer(repeating: 2, count: 1)) else { throw Unexpected() }
        try EnginePair.carry(self.pair.server, self.pair.client)
        try #require(EnginePair.readAll(self.pair.client).bytes.readableBytes == 1)
        return bytes.readableBytes
    }
}
