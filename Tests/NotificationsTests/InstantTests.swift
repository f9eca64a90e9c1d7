// SPDX-License-Identifier: Apache-2.0

import Notifications
import RandomTesting
import Testing

/// The instants of RFC 3339, each of which is read as one moment of UTC.
@Suite struct InstantTests {
    @Test(
        "An instant of RFC 3339 is read as a moment of UTC from 1970 to 9999",
        arguments: [
            ("2015-06-28T05:54:57+00:00", "2015-06-28 05:54:57"), ("2015-06-28T05:54:57-00:00", "2015-06-28 05:54:57"),
            ("2015-06-28T07:54:57+02:00", "2015-06-28 05:54:57"),
            ("2015-06-27T18:24:57.5-11:30", "2015-06-28 05:54:57.500000"),
            ("2015-06-28t05:54:57z", "2015-06-28 05:54:57"),
            ("2015-06-28 05:54:57.123456789Z", "2015-06-28 05:54:57.123456"),
            ("2015-06-28T05:54:57.1234567", "2015-06-28 05:54:57.123456"),
            ("2015-06-28T05:54:57.999999999999999999999999999999+00:00", "2015-06-28 05:54:57.999999"),
            ("2016-12-31T23:59:60Z", "2017-01-01 00:00:00"),
            ("2016-12-31T15:59:60.5-08:00", "2017-01-01 00:00:00.500000"),
            ("1969-12-31T23:30:00-01:00", "1970-01-01 00:30:00"), ("0001-01-01T00:00:00Z", nil),
            ("1970-01-01T00:30:00+01:00", nil), ("9999-12-31T23:59:59-01:00", nil), ("9999-12-31T23:59:60Z", nil),
            ("10000-01-01T00:59:59+01:00", nil),
        ] as [(String, String?)])
    func instantInUTC(text: String, expected: String?) {
        #expect(NotificationTimestamp(text)?.description == expected)
    }

    @Test(
        "Text that is not an instant is rejected",
        arguments: [
            "2015-06-28T05:54:57+0000", "2015-06-28T05:54:57+00", "2015-06-28T05:54:57+24:00",
            "2015-06-28T05:54:57+00:60",
            "2015-06-28T05:54:57 +00:00", "2015-06-28T05:54:57ZZ", "2015-06-28T05:54:57Z+00:00",
            "2015-06-28T05:54:57UTC",
            "2015-06-28_05:54:57", "2015-06-28T05:54", "2015-06-28T05:54Z", "2015-06-28T05:54:57,5Z",
            "2015-06-28T05:54:61Z",
            "2015-06-28T23:59:60Z", "2016-12-31T23:59:60+01:00", "2015-06-28T05:54:57+",
            "2015-06-28T05:54:57\u{2212}01:00",
            "2015-06-28T05:54:57.Z", "2015-06-28T05:54:57Z\n", "2015-6-28T05:54:57Z",
        ])
    func invalidInstant(text: String) { #expect(NotificationTimestamp(text) == nil) }

    @Test("A timestamp with a million digits is rejected")
    func endlessText() {
        #expect(NotificationTimestamp("2015-06-28T05:54:57." + String(repeating: "0", count: 1 << 20)) == nil)
    }

    /// Random moments in random forms, computed with arithmetic that the parser does not use.
    @Test("Every form of a moment is read as that moment", arguments: [1, 2, 3, 4] as [UInt64])
    func randomForms(seed: UInt64) throws {
        var random = Seeded(seed)
        for _ in 0..<2000 {
            let moment = Int64.random(in: 0..<253_402_300_800_000_000, using: &random)
            let offset = Int64.random(in: -1439...1439, using: &random)
            let local = NotificationTimestamp(microsecondsSinceEpoch: moment + offset * 60_000_000)
            guard local.microsecondsSinceEpoch >= 0, local.microsecondsSinceEpoch < 253_402_300_800_000_000 else {
                continue
            }
            var text = local.text(.microseconds)
            text += String(
                repeating: "\(Int.random(in: 0...9, using: &random))", count: Int.random(in: 0...6, using: &random))
            func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
            text += "\(offset < 0 ? "-" : "+")\(two(abs(offset) / 60)):\(two(abs(offset) % 60))"
            if Bool.random(using: &random) { text.replace("T", with: "t") }
            let read = try #require(NotificationTimestamp(text), "\(text)")
            #expect(read.microsecondsSinceEpoch == moment, "\(text)")
            #expect(NotificationTimestamp(read.description) == read)
        }
    }

    private let event = Catalogues.builtIn.event("dbaas.quotas")

    private func published(_ updated: JSONValue) throws -> JSONValue? {
        try #require(self.event).notification(
            values: ["resource": "volumes", "in_use": 3, "reserved": 0, "limit": 10, "updated": updated],
            publisherID: "p"
        ).message.payload["updated"]
    }

    /// Consumers that could read all times before must be able to read times in the new forms too.
    @Test(
        "A time in a payload is published in a form that every consumer can read",
        arguments: [
            ("2015-06-28T05:54:52Z", "2015-06-28T05:54:52Z"), ("2015-06-28 05:54:52", "2015-06-28 05:54:52"),
            ("2015-06-28T05:54:52.123456", "2015-06-28T05:54:52.123456"),
            ("2015-06-28T05:54:52+00:00", "2015-06-28T05:54:52Z"),
            ("2015-06-28T07:54:52.5+02:00", "2015-06-28T05:54:52.500000Z"),
            ("2015-06-28T05:54:52.123456789Z", "2015-06-28T05:54:52.123456Z"),
            ("2015-06-28t05:54:52z", "2015-06-28T05:54:52Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ])
    func publishedTime(text: String, expected: String) throws {
        #expect(try self.published(.string(text)) == .string(expected))
    }

    @Test("A value that is not a time is rejected, and the error shows a valid one")
    func invalidTime() throws {
        let error = #expect(throws: FieldError.self) { try self.published("yesterday\u{1B}[2J") }
        #expect(
            error?.description
                == #"payload.updated must be a time (RFC 3339) such as 2015-06-28T05:54:52Z, not "yesterday\u{1B}[2J""#
        )
        let number = #expect(throws: FieldError.self) { try self.published(5) }
        #expect(number?.problem.hasSuffix(", not a number") == true)
    }
}
