// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import CertificateIssuing
import RandomTesting
import Testing

@testable import TLSChannel

/// The cost of lists: memory for as long as they are in use, and time when they are loaded.
@Suite(.timeLimit(.minutes(1)))
struct RevocationCostTests {
    let identities: TestIdentities

    init() throws {
        self.identities = try TestIdentities()
    }

    private func lists() throws -> RevocationLists {
        try RevocationLists(
            .pem(self.identities.authority.revocationList(validity: .days(1))), of: self.identities.authority)
    }

    private func context() throws -> TLSContext {
        var configuration = self.identities.serverConfiguration()
        configuration.revocationLists = .pem(try self.identities.authority.revocationList(validity: .days(1)))
        return try TLSContext(configuration: configuration)
    }

    private struct Generation {
        weak var lists: RevocationLists?
        weak var ssl: SSLContext?
    }

    @Test("Replaced lists are freed although connections that began under them are open")
    func replacedLists() throws {
        let live = LiveTLSContext(try self.context())
        var pairs: [ChannelPair] = []
        var past: [Generation] = []
        for _ in 0..<5 {
            let pair = try ChannelPair(self.identities, live: live)
            try pair.establish()
            pairs.append(pair)
            past.append(Generation(lists: live.current.revocationLists, ssl: live.current.ssl))
            #expect(past.last?.lists != nil)
            live.replace(with: live.current.with(revocationLists: try self.lists()))
        }
        #expect(live.status.openConnections == pairs.count)
        #expect(past.allSatisfy { $0.lists == nil })
        // New lists alone do not make a new SSL_CTX either.
        #expect(past.allSatisfy { $0.ssl === live.current.ssl })
        // Connections keep parts of a context that was replaced as a whole, but not its lists.
        live.replace(with: try self.context())
        weak let last = live.current.revocationLists
        try pairs.append(ChannelPair(self.identities, live: live))
        try pairs.last?.establish()
        live.replace(with: try self.context())
        #expect(last == nil)
    }

    @Test("A failed handshake does not keep replaced lists in memory")
    func failedHandshake() throws {
        let live = LiveTLSContext(try self.context())
        let stranger = try TestIdentities()
        let pair = try ChannelPair(
            self.identities, client: stranger.clientConfiguration(trust: self.identities.authority), live: live)
        try pair.connect()
        try pair.pump()
        #expect(pair.serverLog.errors.first?.code == .verificationFailed)
        weak let lists = live.current.revocationLists
        live.replace(with: live.current.with(revocationLists: try self.lists()))
        #expect(lists == nil)
    }

    /// Only the signature and the sorting take longer for a longer list.
    @Test("No handshake verifies a list again")
    func verifiedOnce() throws {
        let context = try self.context()
        let lists = try #require(context.revocationLists)
        #expect(lists.lists.map(\.verifications) == [1])
        let client = try TLSContext(configuration: self.identities.clientConfiguration())
        for _ in 0..<3 {
            let pair = try EnginePair(client: client, server: context)
            try pair.handshake()
            #expect(pair.serverError == nil)
        }
        #expect(lists.lists.map(\.verifications) == [1])
    }

    @Test("Serial numbers are found in whatever order they were added", arguments: UInt64(1)...4)
    func serialNumbers(seed: UInt64) throws {
        var random = Seeded(seed)
        let numbers = Set(
            (0..<2000).map { _ in
                UInt64.random(in: 1...UInt64.max, using: &random) >> UInt64.random(in: 0...63, using: &random)
            })
        let listed = numbers.filter { $0 % 3 != 0 }
        func key(_ number: UInt64) throws -> [UInt8] {
            let integer = try #require(ASN1_INTEGER_new())
            defer { ASN1_INTEGER_free(integer) }
            #expect(ASN1_INTEGER_set_uint64(integer, number) == 1)
            return SerialNumbers.key(of: integer)
        }
        var table = SerialNumbers()
        #expect(try !table.contains(key(1)))
        for number in listed { try table.append(key(number)) }
        table.sort()
        #expect(table.count == listed.count)
        for number in numbers {
            #expect(try table.contains(key(number)) == listed.contains(number))
        }
    }

    @Test("A negative serial number is not found as its magnitude")
    func negativeNumber() throws {
        let integer = try #require(ASN1_INTEGER_new())
        defer { ASN1_INTEGER_free(integer) }
        #expect(ASN1_INTEGER_set_int64(integer, -5) == 1)
        let negative = SerialNumbers.key(of: integer)
        #expect(ASN1_INTEGER_set_int64(integer, 5) == 1)
        let positive = SerialNumbers.key(of: integer)
        var table = SerialNumbers()
        table.append(positive)
        table.sort()
        #expect(table.contains(positive) && !table.contains(negative))
    }
}
