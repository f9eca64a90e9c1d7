// SPDX-License-Identifier: Apache-2.0

import Notifications
import Testing

@Suite struct NotificationTimestampTests {
    @Test(
        "A timestamp is read from text and written as the same text",
        arguments: [
            ("1970-01-01 00:00:00", 0), ("2015-06-28 05:54:57.725572", 1_435_470_897_725_572),
            ("2000-02-29 23:59:59.000001", 951_868_799_000_001), ("2100-03-01 00:00:00", 4_107_542_400_000_000),
            ("9999-12-31 23:59:59.999999", 253_402_300_799_999_999),
        ])
    func readsAndWrites(text: String, microseconds: Int64) {
        #expect(NotificationTimestamp(text)?.microsecondsSinceEpoch == microseconds)
        #expect(NotificationTimestamp(microsecondsSinceEpoch: microseconds).description == text)
    }

    @Test("A timestamp in ISO 8601 form is read")
    func readsISO8601() {
        #expect(NotificationTimestamp("2015-06-28T05:54:57.5Z")?.description == "2015-06-28 05:54:57.500000")
    }

    @Test(
        "A malformed timestamp, or one before 1970, is rejected",
        arguments: [
            "", "2015-06-28", "2015-13-01 00:00:00", "2015-02-29 00:00:00", "2015-06-28 24:00:00",
            "2015-06-28 05:54:60",
            "2015-06-28 05:54:57.", " 2015-06-28 05:54:57",
            "1969-12-31 23:59:59", "２015-06-28 05:54:57",
        ])
    func invalidTimestamps(text: String) { #expect(NotificationTimestamp(text) == nil) }

    /// Such moments cannot be received, but a program can create them. They are written, in a form that cannot be read.
    @Test(
        "A timestamp outside the readable years can be written",
        arguments: [
            (253_402_300_799_999_999, "9999-12-31 23:59:59.999999"), (253_402_300_800_000_000, "10000-01-01 00:00:00"),
            (-1, "1969-12-31 23:59:59.999999"), (.max, "294247-01-10 04:00:54.775807"),
            (.min, "-290308-12-21 19:59:05.224192"),
        ] as [(Int64, String)])
    func unreadableMoments(microseconds: Int64, text: String) {
        #expect(NotificationTimestamp(microsecondsSinceEpoch: microseconds).description == text)
    }

    @Test(
        "A timestamp is written in each of Trove's forms",
        arguments: [
            (
                1_435_470_892_999_999, "2015-06-28T05:54:52Z", "2015-06-28T05:54:52.999999",
                "2015-06-28T05:54:52.999999Z"
            ),
            (
                1_435_611_132_000_000, "2015-06-29T20:52:12Z", "2015-06-29T20:52:12.000000",
                "2015-06-29T20:52:12.000000Z"
            ),
            (
                1_436_558_729_870_091, "2015-07-10T20:05:29Z", "2015-07-10T20:05:29.870091",
                "2015-07-10T20:05:29.870091Z"
            ),
        ])
    func writesTrovesForms(microseconds: Int64, seconds: String, inMicroseconds: String, inUTC: String) {
        let timestamp = NotificationTimestamp(microsecondsSinceEpoch: microseconds)
        #expect(timestamp.text(.seconds) == seconds)
        #expect(timestamp.text(.microseconds) == inMicroseconds)
        #expect(timestamp.text(.microsecondsUTC) == inUTC)
        for form in [NotificationTimestamp.Form.microseconds, .microsecondsUTC] {
            #expect(NotificationTimestamp(timestamp.text(form)) == timestamp)
        }
    }

    /// Each day of four centuries is converted to text and back, and the text of the next day is greater.
    @Test("Each day of four centuries round-trips through text, and later days sort later")
    func daysOfFourCenturies() {
        var previous = ""
        for day in Int64(0)..<146_097 {
            let timestamp = NotificationTimestamp(microsecondsSinceEpoch: day * 86_400_000_000)
            let text = timestamp.description
            guard text > previous, NotificationTimestamp(text) == timestamp else {
                Issue.record("day \(day) became \(text) after \(previous)")
                return
            }
            previous = text
        }
    }
}

@Suite struct MessageIDTests {
    @Test("New message ids are distinct version 4 UUIDs")
    func newIDs() {
        let ids = (0..<1000).map { _ in MessageID().description }
        #expect(Set(ids).count == ids.count)
        for id in ids {
            let characters = Array(id)
            #expect(MessageID(id) != nil)
            #expect(characters[14] == "4" && "89ab".contains(characters[19]))
        }
    }

    @Test("A message id made from names is always the same")
    func namedIDs() {
        let id = MessageID(naming: ["trove.instance.exists", "instance-1"]).description
        #expect(id == MessageID(naming: ["trove.instance.exists", "instance-1"]).description)
        // Fixed: after a crash, another version of this program may continue.
        #expect(id == "bb73b4a9-3881-82a3-aee2-0a56be5f23a2")
        #expect(Array(id)[14] == "8" && "89ab".contains(Array(id)[19]))
        #expect(MessageID(naming: ["ab", "c"]) != MessageID(naming: ["a", "bc"]))
        #expect(Set((0..<10_000).map { MessageID(naming: ["e", "instance-\($0)"]) }).count == 10_000)
    }

    @Test(
        "A malformed message id is rejected",
        arguments: [
            "", "7f8ff6b6-2f1f-40db-ae6f-c92cbc9e282", "7f8ff6b62f1f40dbae6fc92cbc9e2827",
            "7f8ff6b6-2f1f-40db-ae6f-c92cbc9e282g",
        ])
    func invalidIDs(text: String) { #expect(MessageID(text) == nil) }

    @Test("Capital letters in a message id become lower case")
    func lowersCapitals() {
        #expect(
            MessageID("7F8FF6B6-2F1F-40DB-AE6F-C92CBC9E2827")?.description == "7f8ff6b6-2f1f-40db-ae6f-c92cbc9e2827")
    }
}

@Suite struct NotificationContextTests {
    @Test("A context keeps every field in its JSON form")
    func keepsEveryField() throws {
        let text = #"""
            {"operation":"user_create","request_id":"req-1","tenant_id":"t","user_id":"u","client_ip":"10.0.0.1","server_ip":"10.0.0.2:8779","server_type":"api","payload":{"instance_id":"i","username":"ü"},"traceparent":"00-a-b-01","token":"x.y.z"}
            """#
        let context = try NotificationContext(json: Array(text.utf8))
        #expect(try NotificationContext(context.json) == context)
        #expect(context.payload["username"] == "ü")
    }

    @Test(
        "An error about a context names the field and the problem",
        arguments: [
            (#"{"request_id":"r","tenant_id":"t","client_ip":"c"}"#, "operation", "is missing"),
            (
                #"{"operation":"o","request_id":7,"tenant_id":"t","client_ip":"c"}"#, "request_id",
                "must be a string, not a number"
            ),
            (#"{"operation":"o","request_id":"","tenant_id":"t","client_ip":"c"}"#, "request_id", "must not be empty"),
            (#"{"operation":"o","request_id":"r","tenant_id":null,"client_ip":"c"}"#, "tenant_id", "is missing"),
            (
                #"{"operation":"o","request_id":"r","tenant_id":"t","client_ip":"c","payload":[]}"#, "payload",
                "must be an object, not an array"
            ),
            ("[]", "context", "must be a JSON object"),
        ])
    func namesTheField(text: String, field: String, problem: String) {
        #expect(throws: FieldError(field: field, problem: problem)) { try NotificationContext(json: Array(text.utf8)) }
    }
}
