// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import RelayTesting
import TLSChannel

/// Passes bytes to both sides of TLS: the first byte says to which, and how much of a true handshake precedes the rest.
enum FuzzedHandshake {
    private static let contexts: (server: TLSContext, client: TLSContext)? = {
        guard let certificates = try? TestCertificates(), let server = try? certificates.server(),
            let client = try? certificates.client()
        else { return nil }
        return (server, client)
    }()

    static func problem(with bytes: [UInt8]) -> String? {
        guard let contexts else { return "no certificates could be made" }
        guard let first = bytes.first, let server = try? TLSEngine(context: contexts.server, serverName: nil),
            let client = try? TLSEngine(context: contexts.client, serverName: "127.0.0.1")
        else { return bytes.isEmpty ? nil : "no engine could be made" }
        let (victim, peer) = first & 1 == 0 ? (server, client) : (client, server)
        for _ in 0..<Int(first >> 1 & 3) {
            _ = client.handshake()
            guard self.carry(from: client, to: server) else { return nil }
            _ = server.handshake()
            guard self.carry(from: server, to: client) else { return nil }
        }
        var plaintext = ByteBuffer()
        let rest = bytes.dropFirst()
        guard (try? victim.feed(ByteBuffer(bytes: rest))) != nil else { return nil }
        _ = victim.handshake()
        _ = victim.read(into: &plaintext)
        _ = self.carry(from: victim, to: peer)
        _ = victim.shutdown()
        // No bytes may come out that no authenticated peer has sent.
        return plaintext.readableBytes == 0 ? nil : "\(plaintext.readableBytes) bytes of plaintext came out of it"
    }

    private static func carry(from sender: TLSEngine, to receiver: TLSEngine) -> Bool {
        guard let bytes = sender.takeCiphertext() else { return true }
        return (try? receiver.feed(bytes)) != nil
    }
}
