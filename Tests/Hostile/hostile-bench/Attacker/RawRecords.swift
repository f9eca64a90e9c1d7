// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TLSChannel

/// Bytes as they are on the wire before TLS is established.
enum RawRecords {
    /// The kinds of record.
    enum Kind: UInt8, CaseIterable {
        case changeCipherSpec = 20
        case alert = 21
        case handshake = 22
        case applicationData = 23
        case heartbeat = 24
    }

    /// Returns one record; its length can be a false one.
    static func record(_ kind: UInt8, _ body: [UInt8], version: UInt16 = 0x0303, length: Int? = nil) -> [UInt8] {
        let length = length ?? body.count
        return [kind, UInt8(version >> 8), UInt8(version & 0xFF), UInt8(length >> 8 & 0xFF), UInt8(length & 0xFF)]
            + body
    }

    /// Returns random bytes.
    static func random(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255) } }

    /// Returns a ClientHello, as a guest of this project sends it.
    static func hello(_ context: TLSContext) throws -> [UInt8] {
        let engine = try TLSEngine(context: context, serverName: "127.0.0.1")
        _ = engine.handshake()
        return Array((engine.takeCiphertext() ?? ByteBuffer()).readableBytesView)
    }

    /// Returns a ClientHello of TLS 1.3 that offers an old ticket, and announces early data with it.
    static func helloWithEarlyData() -> [UInt8] {
        let ticket = Self.random(160)
        let identities = Self.sized(2, Self.sized(2, ticket) + [0, 0, 0x10, 0])
        let binders = Self.sized(2, Self.sized(1, Self.random(32)))
        let extensions =
            Self.extension(43, Self.sized(1, [3, 4]))  // supported_versions: 1.3
            + Self.extension(10, Self.sized(2, [0, 29]))  // supported_groups: X25519
            + Self.extension(13, Self.sized(2, [4, 3, 8, 4, 8, 7]))  // signature_algorithms
            + Self.extension(51, Self.sized(2, [0, 29] + Self.sized(2, Self.random(32))))  // key_share
            + Self.extension(45, Self.sized(1, [1]))  // psk_key_exchange_modes
            + Self.extension(42, [])  // early_data
            + Self.extension(41, identities + binders)  // pre_shared_key, which must be the last
        let body =
            [3, 3] + Self.random(32) + Self.sized(1, Self.random(32)) + Self.sized(2, [0x13, 1, 0x13, 2])
            + Self.sized(1, [0]) + Self.sized(2, extensions)
        return Self.record(Kind.handshake.rawValue, [1] + Self.sized(3, body), version: 0x0301)
    }

    private static func `extension`(_ number: UInt8, _ body: [UInt8]) -> [UInt8] { [0, number] + Self.sized(2, body) }

    /// Returns bytes after their length, which is a number of this many bytes.
    private static func sized(_ width: Int, _ bytes: [UInt8]) -> [UInt8] {
        (0..<width).reversed().map { UInt8(bytes.count >> ($0 * 8) & 0xFF) } + bytes
    }
}
