// SPDX-License-Identifier: Apache-2.0

import TLSChannel

/// Sends records that no well-behaved peer sends, before, during and after the handshake.
struct Garbage: Attack {
    static let name = "garbage"
    static let mustHappen = ["closed by the conductor", "garbage after the handshake"]
    static let mustNotHappen = ["answered"]

    func run(_ target: Target) async throws {
        let hello = try RawRecords.hello(target.guest(0))
        async let inside: Void = self.afterHandshakes(target)
        await target.workers(16, perSecond: 160) { worker, number in
            let socket = try await HostileSocket.open(target)
            try? await socket.send(Self.before(number: worker + number, hello))
            if await socket.waitForClose(.seconds(2)) { target.tally.add("closed by the conductor") }
        }
        await inside
    }

    private func afterHandshakes(_ target: Target) async {
        let guests = (0..<Target.identities).compactMap { try? target.guest($0) }
        await target.workers(8, perSecond: 40) { worker, number in
            let socket = try await HostileSocket.open(target, tls: guests[worker % guests.count], from: worker + 1)
            target.tally.add("garbage after the handshake")
            try? await socket.sendBesideTLS(Self.after(number: worker + number))
            if await socket.waitForClose(.seconds(2)) { target.tally.add("closed by the conductor") }
        }
    }

    /// Returns bytes that are sent instead of a ClientHello, or around it.
    private static func before(number: Int, _ hello: [UInt8]) -> [UInt8] {
        let kinds = RawRecords.Kind.allCases
        switch number % 10 {
        case 0: return RawRecords.random(4096)
        case 1: return RawRecords.record(kinds[number % kinds.count].rawValue, RawRecords.random(512))
        // A length above the limit of a record, and as many bytes after it.
        case 2: return RawRecords.record(22, RawRecords.random(65535), length: 65535)
        case 3: return Array(repeating: RawRecords.record(21, [1, 90]), count: 1000).flatMap { $0 }
        case 4: return RawRecords.record(21, [2, UInt8.random(in: 0...255)])
        case 5: return hello + hello
        case 6: return Array(repeating: RawRecords.record(22, []), count: 1000).flatMap { $0 }
        case 7: return hello + Array(repeating: RawRecords.record(20, [1]), count: 1000).flatMap { $0 }
        case 8: return Array("GET / HTTP/1.1\r\nHost: conductor\r\n\r\n".utf8)
        default:
            // A ClientHello with a false length of 16 MiB.
            return RawRecords.record(22, [1, 255, 255, 255] + RawRecords.random(16000))
        }
    }

    /// Returns bytes that are sent instead of encrypted records.
    private static func after(number: Int) -> [UInt8] {
        switch number % 5 {
        case 0: RawRecords.record(23, RawRecords.random(1024))
        case 1: RawRecords.record(21, [2, 40])
        case 2: RawRecords.record(23, RawRecords.random(65535), length: 65535)
        case 3: RawRecords.record(22, [1] + RawRecords.random(300))
        default: RawRecords.random(2048)
        }
    }
}
