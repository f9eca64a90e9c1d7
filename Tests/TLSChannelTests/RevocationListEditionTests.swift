// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import CertificateIssuing
@testable import TLSChannel

/// The order of two revocation lists, and the authorities that issued them.
@Suite struct RevocationListEditionTests {
    private func edition(
        issuer: [UInt8] = [1], key: [UInt8]? = [1], number: [UInt8]?, published: Int64 = 0
    ) -> RevocationListEdition {
        RevocationListEdition(issuer: issuer, keyID: key, number: number, published: published)
    }

    @Test(
        "Lists that have numbers are ordered by them, whatever their times are",
        arguments: [
            ([1], [2], true), ([2], [1], false), ([2], [2], false), ([255], [1, 0], true), ([1, 0], [255], false),
            ([], [1], true),
        ] as [([UInt8], [UInt8], Bool)])
    func orderByNumber(_ first: [UInt8], _ second: [UInt8], _ isOlder: Bool) {
        // Whatever the times are.
        for times in [(0, 1), (1, 0), (0, 0)] as [(Int64, Int64)] {
            let one = self.edition(number: first, published: times.0)
            #expect(one.isOlder(than: self.edition(number: second, published: times.1)) == isOlder)
        }
    }

    @Test("Lists without numbers are ordered by their times")
    func orderByTime() {
        let (old, new) = (self.edition(number: nil, published: 1), self.edition(number: nil, published: 2))
        #expect(old.isOlder(than: new) && !new.isOlder(than: old))
        #expect(old.isComparable(with: new))
        #expect(!old.isComparable(with: self.edition(number: [1])))
    }

    @Test("The order of lists is strict, whether they have numbers or not")
    func strictOrder() {
        let editions = [nil, [1], [2]].flatMap { number in
            (0..<3).map { self.edition(number: number, published: $0) }
        }
        for one in editions {
            #expect(!one.isOlder(than: one))
            for two in editions where one.isOlder(than: two) {
                #expect(!two.isOlder(than: one))
                for three in editions where two.isOlder(than: three) { #expect(one.isOlder(than: three)) }
                // A list that is as old as one of them has the same relation to the other.
                for three in editions where !three.isOlder(than: one) && !one.isOlder(than: three) {
                    #expect(three.isOlder(than: two))
                }
            }
        }
    }

    @Test("An authority is identified by its name and its key")
    func sameAuthority() {
        let one = self.edition(number: nil)
        #expect(one.isSameList(self.edition(number: [3])))
        #expect(!one.isSameList(self.edition(key: [2], number: nil)))
        #expect(!one.isSameList(self.edition(issuer: [2], number: nil)))
        #expect(one.isSameList(self.edition(key: nil, number: nil)))
    }

    @Test("A list states its authority and its number")
    func editionOfList() async throws {
        func edition(_ authority: CertificateAuthority, after previous: String? = nil) throws -> RevocationListEdition {
            var configuration = try TestIdentities().serverConfiguration(trust: authority)
            configuration.revocationLists = .pem(try authority.revocationList(after: previous, validity: .days(1)))
            let expiries = try TLSContext(configuration: configuration).expiries
            return try #require(expiries.lazy.compactMap(\.list).first)
        }
        let authority = try CertificateAuthority.create(commonName: "a", validity: .days(1))
        let namesake = try CertificateAuthority.create(commonName: "a", validity: .days(1))
        let first = try edition(authority)
        let second = try edition(authority, after: authority.revocationList(validity: .days(1)))
        #expect(first.number == [1] && second.number == [2])
        // The number of a foreign list may have up to 20 bytes.
        let long = try await OpenSSLList.make(authority: authority, number: "00FFFFFFFFFFFFFFFFFFFF")
        #expect(try edition(authority, after: long).number == [1] + [UInt8](repeating: 0, count: 10))
        #expect(first.isSameList(second) && first.isOlder(than: second))
        let others = try edition(namesake)
        #expect(first.issuer == others.issuer && !first.isSameList(others))
    }
}
