// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import Notifications
import TLSChannel
import Testing

/// The classification of an arriving outcome, decided without I/O.
@Suite struct OutcomeDeduplicationStateMachineTests {
    private static let guest = PeerIdentity(names: ["inst-1"])

    private static func certificate(sha256: String) -> PeerCertificate {
        PeerCertificate(
            commonName: "inst-1", uris: [], dnsNames: [], serialNumber: "01", notBefore: 0, notAfter: .max,
            sha256: sha256)
    }

    private func keys(_ count: Int) -> [OutcomeKey] {
        (0..<count).map { _ in OutcomeKey(MessageID(), from: Self.guest) }
    }

    @Test("A repeated outcome joins the one in flight, and is a duplicate after its confirmation")
    func repeatedOutcome() {
        var outcomes = OutcomeDeduplicationStateMachine<Int>(limit: 10)
        let key = self.keys(1)[0]
        #expect(outcomes.admit(key, content: 1, waiter: 0) == .new)
        #expect(outcomes.admit(key, content: 1, waiter: 1) == .inFlight)
        #expect(outcomes.admit(key, content: 1, waiter: 2) == .inFlight)
        #expect(outcomes.finish(key, isConfirmed: true) == [1, 2])
        #expect(outcomes.admit(key, content: 1, waiter: 3) == .confirmed)
        #expect(outcomes.rememberedCount == 1 && outcomes.inFlightCount == 0)
    }

    @Test("A failed outcome is new when it arrives again")
    func failedOutcome() {
        var outcomes = OutcomeDeduplicationStateMachine<Int>(limit: 10)
        let key = self.keys(1)[0]
        #expect(outcomes.admit(key, content: 1, waiter: 0) == .new)
        #expect(outcomes.admit(key, content: 1, waiter: 1) == .inFlight)
        #expect(outcomes.finish(key, isConfirmed: false) == [1])
        #expect(outcomes.rememberedCount == 0 && outcomes.inFlightCount == 0)
        // Also with other content: nothing was published under the id.
        #expect(outcomes.admit(key, content: 2, waiter: 2) == .new)
        #expect(outcomes.finish(key, isConfirmed: true).isEmpty)
    }

    @Test("Another outcome under the same id conflicts, and the first one stays valid")
    func conflictingOutcome() {
        var outcomes = OutcomeDeduplicationStateMachine<Int>(limit: 10)
        let key = self.keys(1)[0]
        #expect(outcomes.admit(key, content: 1, waiter: 0) == .new)
        #expect(outcomes.admit(key, content: 2, waiter: 1) == .conflicting)
        #expect(outcomes.finish(key, isConfirmed: true).isEmpty)
        #expect(outcomes.admit(key, content: 2, waiter: 2) == .conflicting)
        #expect(outcomes.admit(key, content: 1, waiter: 3) == .confirmed)
    }

    @Test("The oldest outcome is forgotten first", arguments: [1, 2, 7, 64])
    func evictionOrder(limit: Int) {
        var outcomes = OutcomeDeduplicationStateMachine<Int>(limit: limit)
        let keys = self.keys(5 * limit + 3)
        for (index, key) in keys.enumerated() {
            #expect(outcomes.admit(key, content: 1, waiter: 0) == .new)
            #expect(outcomes.finish(key, isConfirmed: true).isEmpty)
            #expect(outcomes.rememberedCount == min(index + 1, limit) && outcomes.inFlightCount == 0)
        }
        let remembered = keys.map { outcomes.admit($0, content: 1, waiter: 0) == .confirmed }
        #expect(remembered == keys.indices.map { $0 >= keys.count - limit })
    }

    @Test("With a limit of zero, each arrival is new")
    func zeroLimit() {
        var outcomes = OutcomeDeduplicationStateMachine<Int>(limit: 0)
        let key = self.keys(1)[0]
        for content in [1, 1, 2] as [UInt64] {
            #expect(outcomes.admit(key, content: content, waiter: 0) == .new)
        }
        for _ in 0..<3 { #expect(outcomes.finish(key, isConfirmed: true).isEmpty) }
        #expect(outcomes.rememberedCount == 0 && outcomes.inFlightCount == 0)
    }

    @Test("The key of an outcome is its message id and its guest")
    func keyOfOutcome() throws {
        let identifiers = try [
            "00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-00000000000f",
            "f0000000-0000-4000-8000-000000000000", "00000000-0000-400a-8000-000000000000",
            "00000000-0000-4000-8000-900000000000",
        ].map { try #require(MessageID($0)) }
        let guests = [
            PeerIdentity(names: ["inst-1"]), PeerIdentity(names: ["inst-2"]), PeerIdentity(names: ["", "inst-1"]),
            PeerIdentity(names: ["inst-1", ""]), PeerIdentity(names: []), PeerIdentity(Self.certificate(sha256: "b")),
            PeerIdentity(Self.certificate(sha256: "c")),
        ]
        let keys = Set(identifiers.flatMap { id in guests.map { OutcomeKey(id, from: $0) } })
        #expect(keys.count == identifiers.count * guests.count)
        // An id with capital letters is the same id.
        let capitals = try #require(MessageID("00000000-0000-4000-8000-00000000000F"))
        #expect(OutcomeKey(capitals, from: guests[0]) == OutcomeKey(identifiers[1], from: guests[0]))
    }

    @Test("The content of an outcome is its event type and its payload")
    func contentOfOutcome() {
        func digest(_ payload: JSONObject, event: String = "e", timestamp: Int64 = 0) -> UInt64 {
            NotificationMessage(
                messageID: MessageID(), publisherID: "p", eventType: event, priority: .info, payload: payload,
                timestamp: NotificationTimestamp(microsecondsSinceEpoch: timestamp)
            ).contentDigest
        }
        let payloads: [JSONObject] = [
            [:], ["a": 1], ["a": "1"], ["a": 12], ["a": true], ["a": false], ["a": nil], ["a": []], ["a": [:]],
            ["ab": 1],
            ["a": ["1", "2"]], ["a": ["12"]], ["a": [["1"], "2"]], ["a": "", "b": ""], ["a": "b"], ["a": "12345678"],
            ["a": "123456789"], ["a": "\u{0}12345678"], ["a": "\u{E9}"], ["a": "e\u{301}"],
        ]
        #expect(Set(payloads.map { digest($0) }).count == payloads.count)
        #expect(digest(["a": 1]) != digest(["a": 1], event: "f"))
        // A time that the conductor filled in, and the address that the guest reached, do not count.
        #expect(
            digest(["a": 1, "server_ip": "192.0.2.1:1"]) == digest(["a": 1, "server_ip": "192.0.2.2:1"], timestamp: 9))
        // Marks whose normalization would take minutes.
        let marks = "e" + String(repeating: "\u{301}\u{323}", count: 200_000)
        #expect(digest(["a": .string(marks)]) != digest(["a": .string(marks + "\u{301}")]))
    }
}
